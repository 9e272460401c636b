"""The examples at the end of each help: command lines that work."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "": (
        ("netduet serve", "run a server here"),
        ("netduet check HOST", "check the network from here to there"),
        ("netduet explain reach.refused", "what a failure means"),
    ),
    "serve": (
        ("netduet serve", "port 12345, TCP and UDP"),
        ("netduet serve --port 5000 --host 127.0.0.1", "on loopback alone"),
        ("netduet serve --admin-port 9100", "with metrics and probes over HTTP"),
    ),
    "check": (
        ("netduet check HOST", "port 12345, within seconds"),
        ("netduet check HOST 5000 --profile full", "another port, all checks"),
        ("netduet check db:5432 --wait 60s -- COMMAND", "run COMMAND once db serves"),
    ),
    "watch": (
        ("netduet watch HOST", "until Ctrl-C"),
        ("netduet watch HOST -i 20ms --max-outage 200ms", "see short outages too"),
        ("netduet watch HOST --admin-port 9101 --json", "metrics, events as JSON"),
    ),
    "between": (
        ("netduet between web db", "all checks, and each TCP port of db"),
        ("netduet between web db:5432 -p shop", "services of a Compose project"),
        ("netduet between --all -p shop", "all pairs of the project"),
    ),
    "hello": (
        ("netduet hello HOST", "greet a netduet server"),
        ("netduet hello HOST 7 -w 2", "an echo server; wait at most 2 s"),
        ("netduet hello HOST:25 --greeting QUIT", "any text, any TCP server"),
    ),
    "explain": (
        ("netduet explain", "all failure classes"),
        ("netduet explain size.black_hole", "causes and next steps of one"),
        ("netduet explain balance.ghost", "by an older name, too"),
    ),
    "namespace": (
        ("netduet namespace", "of this host, or of this container"),
        ("netduet namespace | grep tcp", "who listens on which address"),
        ("netduet namespace --json", "one JSON document"),
    ),
    "config": (
        ("netduet config show", "each value, and where it comes from"),
        ("netduet config check", "validate the environment and .env"),
        ("netduet config reference --format env", "all settings as a .env file"),
    ),
    "config show": (
        ("netduet config show", "each value, and where it comes from"),
        ("netduet config show | grep -v default", "only what is set"),
        ("NETDUET_CLIENT_PORT=1 netduet config show", "see what a variable does"),
    ),
    "config check": (
        ("netduet config check", "exit status 0 if all is valid"),
        ("NETDUET_CLIENT_PORT=1 netduet config check", "before it is deployed"),
        ("netduet config check && netduet serve", "start only if valid"),
    ),
    "config reference": (
        ("netduet config reference", "a page in Markdown"),
        ("netduet config reference --format env > .env", "a file to edit"),
        ("netduet config reference --format compose", "lines for a compose file"),
    ),
    "completion": (
        ('eval "$(netduet completion bash)"', "in this shell"),
        ("netduet completion zsh > ~/.zfunc/_netduet", "in a folder of fpath"),
        ("netduet completion fish | source", "in this shell"),
    ),
}
"""By command, "" for ``netduet`` itself: command line and meaning."""


def render(command: str) -> str:
    """Return the examples of a command, for its help; at most 80 columns."""
    examples = EXAMPLES[command]
    width = max(len(line) for line, _ in examples)
    lines = [f"  {line:<{width}}  {meaning}" for line, meaning in examples]
    return "\n".join(["Examples:", *lines])
