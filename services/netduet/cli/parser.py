"""The command line: flags and help from the settings models.

Imported only if needed, because the parser is slow to load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import Parameter as Slot
from inspect import Signature
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.exceptions import UnusedCliTokensError

from netduet import __version__
from netduet.cli import commands
from netduet.cli.commands import SERVICES, Flags, UsageError
from netduet.config.load import Settings, flag, show, unit

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_SUMMARIES: Final = {
    "serve": """Serve TCP and UDP on one port until SIGTERM.

    Exit status: 0 after SIGTERM or SIGINT, 2 bad usage, settings or address.""",
    "check": """Check the network path to each TARGET and report what is wrong.

    Exit status: 0 passed, 1 a check failed, 2 bad usage or settings, 3 inconclusive
    or interrupted.""",
    "watch": """Watch the network path to every address behind each TARGET, until SIGTERM.

    Reports each outage when it begins and ends, and prints a summary at the end. With --json,
    all output is log lines on stderr, and stdout stays empty.

    Exit status: 0 after SIGTERM or SIGINT, 2 bad usage, settings or admin address.""",
    "hello": """Send a plain-text greeting to any TCP server and print the reply.

    Exit status: 0 reply received, 1 no reply, 2 bad usage or settings, 3 interrupted.""",
    "explain": """Explain a failure class; without CLASS, list all.""",
}
_USAGE: Final = {
    "serve": "netduet serve [FLAGS]",
    "check": "netduet check [FLAGS] TARGET…",
    "watch": "netduet watch [FLAGS] TARGET…",
    "hello": "netduet hello [FLAGS] TARGET",
    "explain": "netduet explain [CLASS]",
}
_FORMS: Final = (
    "host, host:port or \\[v6]:port, with /protocol behind it (db:5432/postgres), "
    "protocol://host:port, or HOST PORT"
)
_SHORT: Final = {"json_report": "-J", "port": "-p"}
_WATCH: Final = frozenset(
    ("watch_neighbours", "watch_interval", "watch_checks_interval")
) | {"watch_resolve_interval", "watch_history", "admin_host", "admin_port"}
_NOT_WATCHED: Final = frozenset(
    ("profile", "checks", "expect", "max_loss", "idle_rungs", "min_rate", "stream_time")
) | {"expect_instances", "junit", "resume"}
_HELLO: Final = frozenset(
    ("port", "family", "greeting", "resolve_timeout", "connect_timeout")
) | {"answer_timeout"}


def parse(words: Sequence[str]) -> int:
    """Parse a command line and run its command; return the exit status.

    Raises:
        SettingsError: the settings or a target cannot be used.
        UsageError: the command line is invalid.
    """
    command = next((word for word in words if not word.startswith("-")), "")
    commands.require(command)
    try:
        status = _application(command)(
            words,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        if isinstance(error, UnusedCliTokensError):
            reason = f"unexpected {' '.join(map(repr, error.unused_tokens or ()))}"
        else:
            reason = " ".join(str(error).split()).removesuffix(".")
        known = command in SERVICES or command == "config"
        help_of = f"netduet {command}" if known else "netduet"
        raise UsageError(f"{reason} (see {help_of} --help)") from None
    return status if isinstance(status, int) else 0


def _application(chosen: str) -> App:
    """Return the parser; only the chosen command has its flags."""
    app = App(
        name="netduet",
        help="Test the network between two endpoints: a server that responds and a client that runs the checks.",
        version=__version__,
        version_flags=["--version", "-V"],
        help_format="markdown",
    )
    for command, service in SERVICES.items():
        here = commands.holds(service)
        summary = _SUMMARIES[command]
        app.command(
            _flagged(command) if command == chosen else lambda: 0,
            name=command,
            help=summary if here else f"(in the image netduet-{service})",
            usage=_USAGE[command],
            help_epilogue=_epilogue(command),
        )
    config = App(name="config", help="Show, check or describe the settings.")
    config.command(commands.config_show, name="show")
    config.command(commands.config_check, name="check")

    form = Parameter(
        name="--format",
        help="Documentation page, .env.example file, or Compose environment section.",
        show_default=True,
    )
    forms = Annotated[Literal["markdown", "env", "compose"], form]
    config.command(
        _signed(
            lambda *, form="markdown": commands.config_reference(form),
            [Slot("form", Slot.KEYWORD_ONLY, default="markdown", annotation=forms)],
        ),
        name="reference",
        help=commands.config_reference.__doc__,
    )
    app.command(config)
    return app


def _flagged(command: str) -> Callable[..., int]:
    """Return a command as a function with one keyword per flag."""
    if command == "explain":
        return _signed(
            lambda name=None: commands.explain(name),
            [
                _positional(
                    "name",
                    "Failure class as shown in a report, for example reach.refused.",
                    "CLASS",
                )
            ],
        )
    if command == "serve":
        model: type[Settings] = commands.server_settings()
        fields = set(model.model_fields)
        return _signed(lambda **flags: commands.serve(flags), _slots(model, fields))
    model = commands.client_settings()
    if command == "hello":
        word = _positional("word", f"Server to greet: {_FORMS}.", "TARGET", needed=True)
        port = _positional("port_word", "Port of HOST.", "PORT")
        return _signed(
            lambda word, port_word=None, **flags: commands.hello(
                [word] if port_word is None else [word, port_word], _family(flags)
            ),
            [word, port, *_slots(model, _HELLO)],
        )
    if command == "watch":
        description = f"What to watch: {_FORMS}; for a name, all of its addresses, even as they change."
        words = _positional("words", description, "TARGET", many=True)
        fields = set(model.model_fields) - _NOT_WATCHED - {"target", "greeting"}
        return _signed(
            lambda *words, **flags: commands.watch(words, _family(flags)),
            [words, *_slots(model, fields)],
        )
    description = (
        f"What to check: {_FORMS}. With =blocked appended (db:5432=blocked), the "
        "target passes only if it cannot be reached; =open overrides --expect blocked."
    )
    words = _positional("words", description, "TARGET", many=True)
    fields = set(model.model_fields) - _WATCH - {"target", "greeting"}
    return _signed(
        lambda *words, **flags: commands.check(words, _family(flags)),
        [words, *_slots(model, fields)],
    )


def _signed(function: Callable[..., int], slots: Iterable[Slot]) -> Callable[..., int]:
    slots = list(slots)
    function.__signature__ = Signature(slots)  # type: ignore[attr-defined]
    function.__annotations__ = {slot.name: slot.annotation for slot in slots}
    return function


def _positional(
    name: str,
    description: str,
    metavar: str,
    *,
    many: bool = False,
    needed: bool = False,
) -> Slot:
    parameter = Parameter(name=metavar, help=description, show_default=False)
    if many:
        return Slot(name, Slot.VAR_POSITIONAL, annotation=Annotated[str, parameter])
    return Slot(
        name,
        Slot.POSITIONAL_ONLY,
        default=Slot.empty if needed else None,
        annotation=Annotated[str if needed else str | None, parameter],
    )


def _slots(model: type[Settings], fields: set[str] | frozenset[str]) -> Iterator[Slot]:
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
        description = info.description
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
        yield _keyword(field, kind, described)
        if field == "family":
            for number in "46":
                same = f"The same as --family {number}."
                short = Parameter(
                    name=f"-{number}", help=same, negative="", group=groups["Flags"]
                )
                yield _keyword(f"ipv{number}", bool, short)


def _keyword(name: str, kind: type, described: Any) -> Slot:
    annotation = Annotated[kind | None, described]  # type: ignore[valid-type]
    return Slot(name, Slot.KEYWORD_ONLY, default=None, annotation=annotation)


def _family(flags: Mapping[str, Any]) -> Flags:
    """Replace the flags -4 and -6 by an address family.

    Raises:
        UsageError: they contradict each other.
    """
    rest = dict(flags)
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


def _epilogue(command: str) -> str:
    service = SERVICES[command].upper()
    if command == "explain":
        return ""
    example = "max-frame-size" if service == "SERVER" else "answer-timeout"
    variable = f"NETDUET_{service}_{example.upper().replace('-', '_')}"
    return (
        "Each flag can also be set by a variable, in the environment or in .env: "
        f"--{example} is {variable}. Write times as 500ms, 30s or 2m, and sizes as "
        "64KiB or 1MiB. `netduet config show` prints the effective settings."
    )
