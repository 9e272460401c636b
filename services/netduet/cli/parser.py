"""The command line: flags and help from the settings models.

Imported only if needed, because the parser is slow to load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter as Slot
from typing import (
    Annotated,
    Final,
    Literal,
)

from cyclopts import App, CycloptsError, Parameter
from cyclopts.exceptions import (
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from netduet import __version__
from netduet.cli import commands, examples, help_text
from netduet.cli.commands import SERVICES, UsageError
from netduet.cli.flags import positional, short_flags, signed, slots
from netduet.cli.habits import hint
from netduet.config.load import Settings

Shell = Literal["bash", "zsh", "fish"]

_COMMANDS: Final = (*SERVICES, "namespace", "config", "completion")
_WATCH: Final = frozenset(
    ("watch_neighbours", "watch_interval", "watch_checks_interval", "watch_start_delay")
) | {
    "watch_resolve_interval",
    "watch_service_account",
    "watch_history",
    "admin_host",
    "admin_port",
}
_NOT_WATCHED: Final = frozenset(
    ("profile", "checks", "expect", "max_loss", "idle_rungs", "min_rate", "stream_time")
) | {
    "expect_instances",
    "junit",
    "resume",
    "wait",
    "need",
    "purpose",
    "tls_fingerprint",
    "tls_issuer",
    "tls_min_days",
    "expect_client_certificate",
}
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
        suppress_keyboard_interrupt=False,  # __main__ says what a signal means
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
        signed(
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
        signed(
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
        signed(
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
        return signed(
            lambda name=None: commands.explain(name),
            [
                positional(
                    "name",
                    "Failure class as shown in a report, for example reach.refused.",
                    "CLASS",
                )
            ],
        )
    if command == "between":
        from netduet.cli import between  # noqa: PLC0415

        return between.parameters()
    if command == "serve":
        model: type[Settings] = commands.server_settings()
        fields = set(model.model_fields)
        return signed(lambda **flags: commands.serve(flags), slots(model, fields))
    model = commands.client_settings()
    if command == "hello":
        word = positional(
            "word", f"Server to greet: {help_text.FORMS}.", "TARGET", needed=True
        )
        port = positional("port_word", "Port of HOST.", "PORT")
        return signed(
            lambda word, port_word=None, **flags: commands.hello(
                [word] if port_word is None else [word, port_word], short_flags(flags)
            ),
            [word, port, *slots(model, _HELLO)],
        )
    if command == "watch":
        description = f"What to watch: {help_text.FORMS}; for a name, all of its addresses, even as they change."
        words = positional("words", description, "TARGET", many=True)
        fields = set(model.model_fields) - _NOT_WATCHED - {"target", "greeting"}
        return signed(
            lambda *words, **flags: commands.watch(words, short_flags(flags)),
            [words, *slots(model, fields)],
        )
    description = (
        f"What to check: {help_text.FORMS}. With =blocked appended (db:5432=blocked), the "
        "target passes only if it cannot be reached; =open overrides --expect blocked."
    )
    words = positional("words", description, "TARGET", many=True)
    fields = set(model.model_fields) - _WATCH - {"target", "greeting"}
    return signed(
        lambda *words, **flags: commands.check(words, short_flags(flags), program),
        [words, *slots(model, fields)],
    )
