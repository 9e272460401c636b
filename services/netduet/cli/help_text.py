"""The words of the help, around the flags that come from the settings."""

from __future__ import annotations

from typing import Final

from netduet.cli import examples
from netduet.cli.commands import SERVICES

_SUMMARIES: Final = {
    "serve": """Serve TCP and UDP on one port until SIGTERM.

    Exit status: 0 after SIGTERM or SIGINT, 2 bad usage, settings or address.""",
    "check": """Check the network path to each TARGET and report what is wrong.

    A TARGET is a netduet server or any other service. When all targets pass, COMMAND, if
    given, replaces this process.

    Exit status: 0 passed, 1 a check failed, 2 bad usage or settings, 3 inconclusive
    or interrupted.""",
    "watch": """Watch the network path to every address behind each TARGET, until SIGTERM.

    Reports each outage when it begins and ends, and prints a summary at the end. With --json,
    all output is log lines on stderr, and stdout stays empty.

    Exit status: 0 after SIGTERM or SIGINT, 2 bad usage, settings or admin address.""",
    "between": """Test the network between two containers that run already.

    Puts netduet-server beside SERVICE and netduet-client beside CLIENT, in their network
    namespaces, runs all checks, checks the ports of SERVICE itself, and removes both
    again. Nothing in the containers changes. Needs a container engine, or kubectl for
    pods.

    Exit status: as for netduet check.""",
    "hello": """Send a plain-text greeting to any TCP server and print the reply.

    Exit status: 0 reply received, 1 no reply, 2 bad usage or settings, 3 interrupted.""",
    "explain": """Explain a failure class; without CLASS, list all.""",
}
USAGE: Final = {
    "serve": "netduet serve [FLAGS]",
    "check": "netduet check [FLAGS] TARGET… [-- COMMAND…]",
    "watch": "netduet watch [FLAGS] TARGET…",
    "between": "netduet between [FLAGS] CLIENT SERVICE[:PORT]…",
    "hello": "netduet hello [FLAGS] TARGET",
    "explain": "netduet explain [CLASS]",
}
FORMS: Final = (
    "host, host:port or [v6]:port, with /protocol behind it (db:5432/postgres), "
    "protocol://host:port, or HOST PORT"
)


def summary(command: str) -> str:
    """Return what a command does: a line for each paragraph, which the help wraps."""
    paragraphs = _SUMMARIES[command].split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in paragraphs)


def epilogue(command: str) -> str:
    """Return the end of a command's help: how settings are given, and examples."""
    if command == "explain":
        return examples.render(command)
    service = SERVICES[command].upper()
    field = "max-frame-size" if service == "SERVER" else "answer-timeout"
    variable = f"NETDUET_{service}_{field.upper().replace('-', '_')}"
    return (
        "Each flag can also be set by a variable, in the environment or in .env: "
        f"--{field} is {variable}. Write times as 500ms, 30s or 2m, and sizes as 64KiB "
        "or 1MiB; a time without a unit is in seconds. netduet config show "
        f"prints the effective settings.\n\n{examples.render(command)}"
    )
