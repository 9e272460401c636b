"""Parameters of commands, as the parser reads them, from the settings models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import Parameter as Slot
from inspect import Signature
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

from cyclopts import Group, Parameter

from netduet.cli.commands import Flags, UsageError
from netduet.config.load import Settings, flag, show, unit
from netduet.config.units import parse_duration

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_SHORT: Final = {
    "json_report": "-J",
    "port": "-p",
    "stream_time": "-t",
    "watch_interval": "-i",
}
"""Short flags, as nc, iperf3 and ping have them."""

_WAIT: Final = ("connect_timeout", "answer_timeout")
"""The settings that -w sets, as in nc(1)."""


def signed(
    function: Callable[..., int], parameters: Iterable[Slot]
) -> Callable[..., int]:
    """Give a function the signature that the parser reads."""
    parameters = list(parameters)
    function.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {slot.name: slot.annotation for slot in parameters}
    return function


def positional(
    name: str,
    description: str,
    metavar: str,
    *,
    many: bool = False,
    needed: bool = False,
) -> Slot:
    """Return a positional parameter."""
    parameter = Parameter(name=metavar, help=description, show_default=False)
    if many:
        return Slot(name, Slot.VAR_POSITIONAL, annotation=Annotated[str, parameter])
    return Slot(
        name,
        Slot.POSITIONAL_ONLY,
        default=Slot.empty if needed else None,
        annotation=Annotated[str if needed else str | None, parameter],
    )


def slots(model: type[Settings], fields: set[str] | frozenset[str]) -> Iterator[Slot]:
    """Yield a keyword for each field.

    Values stay text here: ``config.load`` validates them, so that messages are the same
    for every source.
    """
    groups = {
        name: Group.create_ordered(name)
        for name in ("Flags", "Limits", "Times", "Logs")
    }
    for field, info in model.model_fields.items():
        if field not in fields:
            continue
        names = [flag(model, field)]
        if field in _SHORT:
            names.append(_SHORT[field])
        default = show(info, info.default)
        description = (info.description or "").replace("`", "")
        if names[0] != "--" + field.replace("_", "-"):
            description = (
                f"{description} Environment variable: {model.variable(field)}."
            )
        described = Parameter(
            name=names,
            help=description,
            show_default=default or False,
            negative=f"--no-{names[0][2:]}" if info.annotation is bool else "",
            metavar=_metavar(info),
            group=groups[_group(field, info)],
            allow_leading_hyphen=False,
        )
        kind = bool if info.annotation is bool else str
        yield keyword(field, kind, described)
        if field == "family":
            for number in "46":
                same = f"The same as --family {number}."
                short = Parameter(
                    name=f"-{number}", help=same, negative="", group=groups["Flags"]
                )
                yield keyword(f"ipv{number}", bool, short)
        if field == _WAIT[-1]:
            same = (
                "Timeout for connecting and for a response: the same as both flags "
                "above, unless they are given."
            )
            short = Parameter(
                name="-w", help=same, metavar="TIME", group=groups["Times"]
            )
            yield keyword("timeout", str, short)


def keyword(name: str, kind: type, described: Any) -> Slot:
    """Return a parameter that is a flag, None if it is not given."""
    annotation = Annotated[kind | None, described]  # type: ignore[valid-type]
    return Slot(name, Slot.KEYWORD_ONLY, default=None, annotation=annotation)


def short_flags(flags: Mapping[str, Any]) -> Flags:
    """Replace the flags -4, -6 and -w by the settings that they stand for.

    Raises:
        UsageError: they contradict each other, or the time is invalid.
    """
    rest = dict(flags)
    wait = rest.pop("timeout", None)
    if wait is not None:
        try:
            parse_duration(wait)
        except ValueError as error:
            raise UsageError(f"-w {wait}: {error}") from None
        for field in _WAIT:
            if rest.get(field) is None:
                rest[field] = wait
    short = {number for number in "46" if rest.pop(f"ipv{number}", False)}
    asked = short | ({rest["family"]} if rest.get("family") else set())
    if short and len(asked) > 1:
        raise UsageError("-4, -6 and --family exclude each other: use one of them")
    return rest | {"family": short.pop()} if short else rest


def _metavar(info: FieldInfo) -> str:
    """Return the placeholder of a flag's value in the help."""
    choices = get_args(info.annotation)
    if get_origin(info.annotation) is Literal:
        return "|".join(choices)
    number = info.annotation in {int, float} or int in choices
    named = {
        "time": "TIME",
        "times": "TIME,…",
        "size": "SIZE",
        "share": "SHARE",
        "rate": "RATE",
        "list": "NAME,…",
    }
    return named.get(unit(info) or "", "NUMBER" if number else "TEXT")


def _group(field: str, info: FieldInfo) -> str:
    if field.startswith("log_"):
        return "Logs"
    if unit(info) in {"time", "times"}:
        return "Times"
    return (
        "Limits"
        if _metavar(info) in {"SIZE", "NUMBER", "SHARE", "RATE"} and field != "port"
        else "Flags"
    )
