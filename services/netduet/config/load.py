"""Settings of server and client: sources, precedence, errors.

Each setting is declared once: a field of a model in ``server.settings`` or
``client.settings``, whose docstring is its help. Its sources, in order of precedence:
flag, environment variable, line of ``.env``, file secret, default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar, get_args

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import NoDecode

from netduet.config.secret_files import is_secret
from netduet.config.sources import (
    DOTENV,
    PREFIX,
    Settings,
    SettingsError,
    Source,
    SourcePaths,
    dotenv,
    flag,
    nearest,
    read,
    service_links,
    unknown_names,
)
from netduet.config.units import (
    parse_duration,
    parse_durations,
    parse_rate,
    parse_share,
    parse_size,
    show_duration,
    show_rate,
    show_share,
    show_size,
)

__all__ = [
    "BETWEEN",
    "DOTENV",
    "PREFIX",
    "TESTING",
    "TOOLING",
    "Duration",
    "Durations",
    "Loaded",
    "Percent",
    "Rate",
    "Settings",
    "SettingsError",
    "Size",
    "Source",
    "SourcePaths",
    "Words",
    "contradiction",
    "dotenv",
    "flag",
    "from_values",
    "is_secret",
    "load",
    "nearest",
    "show",
    "typed",
    "unit",
]

TOOLING: Final = {
    "NETDUET_PUBLISH_PORT": "the port on this machine that compose publishes",
    "NETDUET_PYTHON_IMAGE": "the base of both final images",
    "NETDUET_BUILDER_IMAGE": "the image in which their dependencies are installed",
}
"""Variables with our prefix that only compose and make read."""

TESTING: Final = {
    "NETDUET_TESTING_SERVER_IMAGE": "the server's image, instead of `netduet-server`",
    "NETDUET_TESTING_CLIENT_IMAGE": "the client's image, instead of `netduet-client`",
}
"""Variables with our prefix that only ``netduet.testing`` reads."""

BETWEEN: Final = {
    "NETDUET_BETWEEN_SERVER_IMAGE": "the server's image, instead of `netduet-server`",
    "NETDUET_BETWEEN_CLIENT_IMAGE": "the client's image, instead of `netduet-client`",
}
"""Variables with our prefix that only ``netduet between`` reads."""

_MASK: Final = "********"
_URL: Final = re.compile(r"\S*(?:://|@)\S*")
"""A word that may hold a secret: user info, a path or a query."""
_MAX_SHOWN_VALUE_LENGTH: Final = 200
_CONTRADICTION: Final = "contradiction"


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(word for word in re.split(r"[,\s]+", value) if word)


Duration = Annotated[
    float, BeforeValidator(parse_duration), Field(json_schema_extra={"unit": "time"})
]
Size = Annotated[
    int, BeforeValidator(parse_size), Field(json_schema_extra={"unit": "size"})
]
Durations = Annotated[
    tuple[float, ...],
    NoDecode,
    BeforeValidator(parse_durations),
    Field(json_schema_extra={"unit": "times"}),
]
Percent = Annotated[
    float, BeforeValidator(parse_share), Field(json_schema_extra={"unit": "share"})
]
Rate = Annotated[
    float, BeforeValidator(parse_rate), Field(json_schema_extra={"unit": "rate"})
]
Words = Annotated[
    tuple[str, ...],
    NoDecode,
    BeforeValidator(_split),
    Field(json_schema_extra={"unit": "list"}),
]


Model = TypeVar("Model", bound=Settings)


def contradiction(field: str, relation: str, other: str) -> PydanticCustomError:
    """Return the error that a model raises when two valid fields contradict each other.

    ``relation`` is the text between the names: "must not exceed".
    """
    facts = {"field": field, "relation": relation, "other": other}
    return PydanticCustomError(_CONTRADICTION, "{field} {relation} {other}", facts)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Model]):
    """Effective settings, the source of each value, and ignored names."""

    settings: Model
    sources: dict[str, Source]
    ignored: tuple[str, ...]


def load(
    model: type[Model],
    flags: Mapping[str, object] | None = None,
    source_paths: SourcePaths = SourcePaths(),  # noqa: B008 - frozen
) -> Loaded[Model]:
    """Read all sources and validate; ``flags`` are by field.

    Raises:
        SettingsError: a value is invalid, a name unknown, or two contradict.
    """
    links = service_links(model, os.environ)
    unknown = list(unknown_names(model, source_paths, links))
    values: dict[str, object] = {}
    sources: dict[str, Source] = {}
    for field, source, value in read(model, flags or {}, source_paths, links):
        if field not in values:
            values[field], sources[field] = value, source
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(unknown + _lines(model, error, values, sources)) from None
    if unknown:
        raise SettingsError(unknown)
    return Loaded(settings, sources, tuple(links))


def from_values(model: type[Model], values: Mapping[str, object]) -> Model:
    """Return settings from these values alone (typed or text), by field.

    Raises:
        SettingsError: a value is invalid, a name unknown, or two contradict.
    """
    known = set(model.model_fields)
    unknown = [
        f"{name}: no setting has this name{nearest(name, known)}"
        for name in values
        if name not in known
    ]
    if unknown:
        raise SettingsError(unknown)
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        sources = {name: Source("argument", name) for name in values}
        raise SettingsError(_lines(model, error, dict(values), sources)) from None


def _lines(
    model: type[Settings],
    error: ValidationError,
    values: dict[str, object],
    sources: dict[str, Source],
) -> list[str]:
    def value_of(field: str) -> str:
        info = model.model_fields[field]
        source = sources.get(field)
        if source is None:
            return f"{model.variable(field)}={show(info, info.default)}, the default"
        value = values[field]
        text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        if unit(info) == "list":  # of targets, perhaps
            text = _URL.sub("…", text)
        if len(text) > _MAX_SHOWN_VALUE_LENGTH:
            text = f"{text[:_MAX_SHOWN_VALUE_LENGTH]}…"
        return source.says(_MASK if is_secret(info) else typed(text))

    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        facts = problem.get("ctx", {})
        if problem["type"] == _CONTRADICTION:
            first, other = value_of(facts["field"]), value_of(facts["other"])
            lines.append(f"{first}: {facts['relation']} {other}")
        else:
            field = str(problem["loc"][0])
            lines.append(
                f"{value_of(field)}: {_remedy(problem, model.model_fields[field])}"
            )
    return lines


_BOUNDS: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def _remedy(problem: ErrorDetails, info: FieldInfo) -> str:
    """Return what would be valid, in words and readable units."""
    facts = problem.get("ctx", {})
    if problem["type"] in _BOUNDS:
        relation, fact = _BOUNDS[problem["type"]]
        return f"must be {relation} {show(info, facts[fact])}"
    match problem["type"]:
        case "int_parsing" | "int_parsing_size":
            return "must be a whole number"
        case "bool_parsing":
            return "must be true or false"
        case "literal_error":
            *others, last = map(str, get_args(info.annotation))
            return f"must be {', '.join(others)} or {last}"
        case "string_too_long" | "too_long":
            return f"must have at most {facts['max_length']} characters"
        case "string_too_short" | "too_short":
            least = facts["min_length"]
            many = f"have at least {least} characters"
            return f"must {many if least > 1 else 'not be empty'}"
        case "string_unicode":
            return "must be UTF-8"
    return problem["msg"].removeprefix("Value error, ")


def unit(info: FieldInfo) -> str | None:
    """Return the kind of quantity: time, times, size, share, rate, list; or None."""
    return _extra(info, "unit")


def _extra(info: FieldInfo, key: str) -> str | None:
    """Return an entry of a field's ``json_schema_extra``."""
    extra = info.json_schema_extra
    found = extra.get(key) if isinstance(extra, dict) else None
    return found if isinstance(found, str) else None


_SPECIAL: Final = frozenset("#'\"\\$`")
_QUOTE: Final = '\\"'
_ESCAPED: Final = str.maketrans(
    {"\\": "\\\\", '"': _QUOTE, "\n": "\\n", "\r": "\\r", "\t": "\\t"}
)
"""What is read back in double quotes (python-dotenv)."""


def typed(text: str) -> str:
    """Return text as it can be typed, quoted if it is blank or does not print."""
    plain = text.isprintable() and text == text.strip() and text
    return text if plain else repr(text)


def is_assignable(text: str) -> bool:
    """Whether a .env file can have this value: ``assigned`` says how."""
    return text.isprintable() or (
        text.translate(_ESCAPED).isprintable() and "${" not in text
    )


def assigned(text: str) -> str:
    """Return a value as it follows ``NAME=`` in a .env file, quoted if necessary.

    Single quotes keep everything but themselves and backslashes literal (python-dotenv,
    Compose); double quotes are for line breaks and tabs, and for what no .env file can
    have.
    """
    if not is_assignable(text):
        return f'"{text.encode("unicode_escape").decode().replace(chr(34), _QUOTE)}"'
    if not text.isprintable():
        return f'"{text.translate(_ESCAPED)}"'
    if text == text.strip() and not set(text) & _SPECIAL:
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def show(info: FieldInfo, value: object) -> str:
    """Return a value as a person would type it; secrets masked, unset empty.

    An empty variable counts as unset. Where empty text is a valid value, the
    declaration's ``empty`` is what to type for it.
    """
    if value is None:
        return ""
    if value == "":
        return _extra(info, "empty") or ""
    if is_secret(info):
        return _MASK
    kind = unit(info)
    if kind == "time" and isinstance(value, float | int):
        return show_duration(value)
    if kind == "size" and isinstance(value, int):
        return show_size(value)
    if kind == "share" and isinstance(value, float | int):
        return show_share(value)
    if kind == "rate" and isinstance(value, float | int):
        return show_rate(value)
    if isinstance(value, tuple):
        shown = map(show_duration if kind == "times" else str, value)
        return ",".join(shown)
    return str(value).lower() if isinstance(value, bool) else str(value)
