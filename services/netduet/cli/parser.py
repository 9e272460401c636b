"""The command line: flags and help from the settings models.

Imported only if needed, because the parser is slow to load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import Parameter as Slot
from inspect import Signature
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    get_args,
    get_origin,
)

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.exceptions import (
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from netduet import __version__
from netduet.cli import commands, examples, help_text
from netduet.cli.commands import SERVICES, Flags, UsageError
from netduet.cli.habits import hint
from netduet.config.load import Settings, flag, show, unit
from netduet.config.units import parse_duration

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Shell = Literal["bash", "zsh", "fish"]

_SHORT: Final = {
    "json_report": "-J",
    "port": "-p",
    "stream_time": "-t",
    "watch_interval": "-i",
}
"""Short flags, as nc, iperf3 and ping have them."""

_WAIT: Final = ("connect_timeout", "answer_timeout")
"""The settings that -w sets, as in nc(1)."""

_COMMANDS: Final = (*SERVICES, "namespace", "config", "completion")
_WATCH: Final = frozenset(
    ("watch_neighbours", "watch_interval", "watch_checks_interval")
) | {"watch_resolve_interval", "watch_history", "admin_host", "admin_port"}
_NOT_WATCHED: Final = frozenset(
    ("profile", "checks", "expect", "max_loss", "idle_rungs", "min_rate", "stream_time")
) | {"expect_instances", "junit", "resume", "wait", "need", "purpose"}
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
    words, program = _split(words, command)
    try:
        status = _application(frozenset({command}), program)(
            words,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        raise UsageError(_explain(error, command, words)) from None
    return status if isinstance(status, int) else 0


def _split(words: Sequence[str], command: str) -> tuple[Sequence[str], Sequence[str]]:
    """Split off what follows ``--``: a program and its arguments, for ``check``.

    Raises:
        UsageError: nothing follows.
    """
    if command != "check" or "--" not in words:
        return words, ()
    place = list(words).index("--")
    if place + 1 == len(words):
        raise UsageError("no command follows --: name one, or leave -- out")
    return words[:place], words[place + 1 :]


def _explain(error: CycloptsError, command: str, words: Sequence[str]) -> str:
    """Return one line for an error of the parser."""
    known = command in _COMMANDS
    help_of = f"netduet {command}" if known else "netduet"
    word, reason = "", " ".join(str(error).split()).removesuffix(".")
    if isinstance(error, UnknownOptionError):
        word = error.token.keyword or error.token.value
    elif isinstance(error, UnknownCommandError):
        word = words[0]
        if set(word) & set(".:"):
            return f"{word!r} is no command: did you mean netduet check {word}?"
    elif isinstance(error, UnusedCliTokensError):
        reason = f"unexpected {' '.join(map(repr, error.unused_tokens or ()))}"
    return f"{hint(word) or reason} (see {help_of} --help)"


def _print_completion(shell: Shell) -> int:
    """Print the completion script of a shell; return the exit status."""
    print(_application(frozenset(SERVICES)).generate_completion(shell=shell), end="")
    return 0


def _application(chosen: frozenset[str], program: Sequence[str] = ()) -> App:
    """Return the parser; only the chosen commands have their flags."""
    app = App(
        name="netduet",
        help="Test the network between two endpoints: a server that responds and a client that runs the checks.",
        version=__version__,
        version_flags=["--version", "-V"],
        help_format="plaintext",
        help_epilogue=examples.render(""),
    )
    for command, service in SERVICES.items():
        here = commands.holds(service)
        app.command(
            _flagged(command, program) if command in chosen and here else lambda: 0,
            name=command,
            help=help_text.summary(command)
            if here
            else f"(in the image netduet-{service})",
            usage=help_text.USAGE[command],
            help_epilogue=help_text.epilogue(command),
        )
    app.command(_namespace())
    app.command(_config())
    shell = Parameter(name="SHELL", help="The shell that reads the script.")
    app.command(
        _signed(
            lambda shell: _print_completion(shell),
            [Slot("shell", Slot.POSITIONAL_ONLY, annotation=Annotated[Shell, shell])],
        ),
        name="completion",
        help="Print a script that completes commands and flags in a shell.",
        usage="netduet completion bash|zsh|fish",
        help_epilogue=examples.render("completion"),
    )
    return app


def _namespace() -> App:
    """Return the parser of ``netduet namespace``."""
    form = Parameter(
        name=("--json", "-J"),
        help="Print one JSON document.",
        negative="",
        show_default=False,
    )
    app = App(
        name="namespace",
        help=commands.namespace.__doc__,
        usage="netduet namespace [--json]",
        help_epilogue=examples.render("namespace"),
    )
    app.default(
        _signed(
            lambda *, json_report=False: commands.namespace(json_report),
            [
                Slot(
                    "json_report",
                    Slot.KEYWORD_ONLY,
                    default=False,
                    annotation=Annotated[bool, form],
                )
            ],
        )
    )
    return app


def _config() -> App:
    """Return the parser of ``netduet config``."""
    config = App(
        name="config",
        help="Show, check or describe the settings.",
        help_epilogue=examples.render("config"),
    )
    for name, function in (
        ("show", commands.config_show),
        ("check", commands.config_check),
    ):
        epilogue = examples.render(f"config {name}")
        config.command(function, name=name, help_epilogue=epilogue)
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
        usage="netduet config reference [--format FORMAT]",
        help_epilogue=examples.render("config reference"),
    )
    return config


def _flagged(command: str, program: Sequence[str]) -> Callable[..., int]:
    """Return a command as a function with one keyword per flag.

    ``program`` is what ``check`` runs once all targets pass.
    """
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
        word = _positional(
            "word", f"Server to greet: {help_text.FORMS}.", "TARGET", needed=True
        )
        port = _positional("port_word", "Port of HOST.", "PORT")
        return _signed(
            lambda word, port_word=None, **flags: commands.hello(
                [word] if port_word is None else [word, port_word], _short_flags(flags)
            ),
            [word, port, *_slots(model, _HELLO)],
        )
    if command == "watch":
        description = f"What to watch: {help_text.FORMS}; for a name, all of its addresses, even as they change."
        words = _positional("words", description, "TARGET", many=True)
        fields = set(model.model_fields) - _NOT_WATCHED - {"target", "greeting"}
        return _signed(
            lambda *words, **flags: commands.watch(words, _short_flags(flags)),
            [words, *_slots(model, fields)],
        )
    description = (
        f"What to check: {help_text.FORMS}. With =blocked appended (db:5432=blocked), the "
        "target passes only if it cannot be reached; =open overrides --expect blocked."
    )
    words = _positional("words", description, "TARGET", many=True)
    fields = set(model.model_fields) - _WATCH - {"target", "greeting"}
    return _signed(
        lambda *words, **flags: commands.check(words, _short_flags(flags), program),
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
        yield _keyword(field, kind, described)
        if field == "family":
            for number in "46":
                same = f"The same as --family {number}."
                short = Parameter(
                    name=f"-{number}", help=same, negative="", group=groups["Flags"]
                )
                yield _keyword(f"ipv{number}", bool, short)
        if field == _WAIT[-1]:
            same = (
                "Timeout for connecting and for a response: the same as both flags "
                "above, unless they are given."
            )
            short = Parameter(
                name="-w", help=same, metavar="TIME", group=groups["Times"]
            )
            yield _keyword("timeout", str, short)


def _keyword(name: str, kind: type, described: Any) -> Slot:
    annotation = Annotated[kind | None, described]  # type: ignore[valid-type]
    return Slot(name, Slot.KEYWORD_ONLY, default=None, annotation=annotation)


def _short_flags(flags: Mapping[str, Any]) -> Flags:
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
