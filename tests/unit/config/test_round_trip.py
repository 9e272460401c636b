"""What ``config show`` prints is accepted again, and means the same."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from netduet.cli import commands
from netduet.client.settings import ClientSettings
from netduet.config.load import (
    Settings,
    SettingsError,
    assigned,
    from_values,
    is_assignable,
    is_secret,
    load,
    show,
    unit,
)
from netduet.config.sources import SourcePaths
from netduet.config.units import (
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
    show_duration,
    show_rate,
    show_share,
    show_size,
)
from netduet.server.settings import ServerSettings
from tests.unit.sample_settings import SampleSettings, empty_sources

MODELS = (ServerSettings, ClientSettings, SampleSettings)

DIGITS = st.from_regex(r"[0-9]{1,13}(\.[0-9]{1,14})?", fullmatch=True)
UNITS = {
    "time": ("", "ms", "s", "m", "h"),
    "times": ("", "ms", "s", "m", "h"),
    "size": ("", "k", "KiB", "MB", "MiB", "G", "GiB"),
    "share": ("", "%"),
    "rate": ("", "k", "Mbit/s", "Gbps", "G"),
}
WORDS = ("tcp", "idle=10m", "rate=2.5G", "http", "server:80/redis", "[::1]:1=blocked")


PRINTED = st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.sampled_from(
    " \n\t\r'\"\\#$`{}\x1b\u202e"
)


def quantity(kind: str) -> st.SearchStrategy[str]:
    """Return numbers with units."""
    return st.builds(str.__add__, DIGITS, st.sampled_from(UNITS[kind]))


def typed_text(info: FieldInfo) -> st.SearchStrategy[str]:
    """Return what a person may type for a field."""
    kind = unit(info)
    if kind == "times":
        return st.lists(quantity(kind), min_size=1, max_size=4).map(",".join)
    if kind == "list":
        words = st.sampled_from(WORDS) | st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
        return st.lists(words | st.text(PRINTED, max_size=5), max_size=3).map(",".join)
    if kind is not None:
        return quantity(kind)
    if get_origin(info.annotation) is Literal:
        return st.sampled_from([str(each) for each in get_args(info.annotation)])
    if info.annotation is bool:
        return st.sampled_from(["true", "false", "1", "0", "yes"])
    if info.annotation is str:
        return st.text(PRINTED, max_size=12) | st.sampled_from(
            ["*", "${HOME}", "$x", "# a"]
        )
    return DIGITS | st.integers(0, 100_000).map(str)


FIELDS = [
    (model, field)
    for model in MODELS
    for field, info in model.model_fields.items()
    if not is_secret(info)
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return sources without settings, whose .env a test may write."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield empty_sources(monkeypatch, tmp_path_factory.mktemp("sources"))


@pytest.mark.parametrize(
    ("model", "field"), FIELDS, ids=[f"{m.__name__}.{f}" for m, f in FIELDS]
)
@settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
    ],
)
@given(data=st.data())
def test_shown_value_is_accepted_and_means_the_same(
    model: type[Settings], field: str, sources: SourcePaths, data: st.DataObject
) -> None:
    """Whatever was typed: the value that is in force can be typed again."""
    info = model.model_fields[field]
    text = data.draw(typed_text(info))
    value = info.default
    with contextlib.suppress(SettingsError):
        value = getattr(from_values(model, {field: text}), field)
    shown = show(info, value)
    assume(is_assignable(shown))
    line = f"{model.variable(field)}={assigned(shown) if shown else ''}\n"
    sources.dotenv.write_text(line, "utf-8")
    assert getattr(load(model, {}, sources).settings, field) == value, line


def test_values_that_no_file_can_have_are_comments(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Escape sequences are shown escaped; the line assigns nothing."""
    empty_sources(monkeypatch, tmp_path)
    monkeypatch.setenv("NETDUET_SERVER_GREETING", "\x1b[31mred")
    assert commands.config_show() == 0
    [line] = [
        line
        for line in capsys.readouterr().out.splitlines()
        if "SERVER_GREETING" in line
    ]
    assert line.startswith('# NETDUET_SERVER_GREETING="\\x1b[31mred"')


@settings(max_examples=200, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["time", "size", "share", "rate"]))
def test_shown_quantity_means_exactly_the_same(data: st.DataObject, kind: str) -> None:
    """No digit is lost, and no exponent appears."""
    parse, shown = {
        "time": (parse_duration, show_duration),
        "size": (parse_size, show_size),
        "share": (parse_share, show_share),
        "rate": (parse_rate, show_rate),
    }[kind]
    value: Any = None
    with contextlib.suppress(ValueError):
        value = parse(data.draw(quantity(kind)))
    assume(value is not None)
    assert parse(shown(value)) == value


def test_quantities_are_shown_as_a_person_types_them() -> None:
    """The shortest form that is exact."""
    assert show_rate(555_555_555_555.0) == "555.555555555Gbit/s"
    assert show_rate(2.5e9) == "2.5Gbit/s"
    assert show_duration(5_333_330.0) == "5333330s"
    assert show_duration(86_400.0) == "24h"
    assert show_duration(0.05) == "50ms"
    assert show_share(0.07) == "7%"
