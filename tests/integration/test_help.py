"""The help at 80 columns, its examples, short flags, and shell completion."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest

from netduet.cli.examples import EXAMPLES
from tests.integration.foreign_servers import closed_port
from tests.integration.servers import TIMEOUT_SECONDS, NetduetCommand, ServerProcess

COLUMNS = 80
LINES = sorted({line for examples in EXAMPLES.values() for line, _ in examples})
PLACES = {"HOST": "127.0.0.1", "HOST:25": "127.0.0.1:25", "db:5432=blocked": "::1:1"}


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_ends_with_three_examples_in_80_columns(
    netduet: NetduetCommand, command: str
) -> None:
    """Each example has a line of its own, with its meaning."""
    done = netduet.run(*command.split(), "--help", env={"COLUMNS": str(COLUMNS)})
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert lines[-4] == "Examples:"
    for line, (example, meaning) in zip(lines[-3:], EXAMPLES[command], strict=True):
        assert line.startswith(f"  {example}  ")
        assert line.endswith(f"  {meaning}")


@pytest.mark.parametrize("line", LINES)
def test_example_is_accepted(netduet: NetduetCommand, line: str) -> None:
    """A command that would run is refused for its log format alone, added here."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&>;")
    lexer.whitespace_split = True
    words = list(lexer)
    if words[0] == "eval":
        words = line.removeprefix('eval "$(').removesuffix(')"').split()
    variables = dict(word.split("=") for word in words if word.startswith("NETDUET_"))
    words = words[len(variables) :]
    assert words.pop(0) == "netduet"
    ends = [index for index, word in enumerate(words) if set(word) <= set("|&>;")]
    words = [PLACES.get(word, word) for word in words[: ends[0] if ends else None]]
    if words[0] in {"serve", "check", "watch"}:
        done = netduet.run(words[0], "--log-format=none", *words[1:])
        error = "netduet: --log-format none: must be auto, json or console\n"
        assert (done.returncode, done.stderr) == (2, error)
    elif words[0] in {"hello", "between"}:
        done = netduet.run(*words, "--family=none")
        error = "netduet: --family none: must be any, 4 or 6\n"
        assert (done.returncode, done.stderr) == (2, error)
    else:
        done = netduet.run(*words, env=variables)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


# Short flags


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-c HOST", "-c: the server is an argument, and there is no packet count: ne"),
        ("check -c 4 x", "-c: the server is an argument, and there is no packet coun"),
        ("check -c4 x", "-c: the server is an argument, and there is no packet count"),
        ("-s", "-s: the server is a command of its own: netduet serve"),
        ("check x -u", "-u: check tests TCP and UDP"),
        ("check -t 3 x -n", "-n: addresses are never resolved to names"),
        ("check -i 1 x", "-i: the interval of datagrams is a flag of netduet watch"),
        ("watch -t 10 x", "-t: a duration is a flag of netduet check; watch and serve"),
        ("serve -w 1", "-w: a timeout is a flag of netduet check, watch and hello"),
        ("explain -p 1", "-p: a port is a flag of netduet check, watch, hello and se"),
        ("check -x y", "Unknown option: -x"),
        (
            "localhost:1",
            "'localhost:1' is no command: did you mean netduet check local",
        ),
        ("check -w soon x", "-w soon: must be a time such as 500ms, 30s or 2m"),
        ("completion csh", "Choose from"),
    ],
)
def test_habit_of_another_program_has_a_remedy(
    netduet: NetduetCommand, line: str, expected: str
) -> None:
    """One line, with status 2; flags that the command has are not blamed."""
    done = netduet.run(*line.split())
    assert (done.returncode, done.stdout) == (2, "")
    [error] = done.stderr.splitlines()
    assert error.startswith("netduet: ")
    assert expected in error


def test_short_flags_set_what_they_mean(
    netduet: NetduetCommand, serve_command: object
) -> None:
    """-p is the port, -t the seconds of the stream check, -w a timeout."""
    assert callable(serve_command)
    server: ServerProcess = serve_command()
    words = ("-p", str(server.port), "-t", "1", "-w", "2", "--checks=stream", "-J")
    done = netduet.run("check", *words, "127.0.0.1")
    report = json.loads(done.stdout)
    [stream] = [
        check for check in report["targets"][0]["checks"] if check["name"] == "stream"
    ]
    assert "in 1 s" in stream["summary"]


def test_wait_is_the_timeout_for_an_answer(netduet: NetduetCommand) -> None:
    """An explicit flag takes precedence over -w."""
    with closed_port() as target:
        for words, shown in (
            (("-w", "2h"), ["--answer-timeout 2h", "--connect-timeout 2h"]),
            (("-w", "2h", "--answer-timeout=1"), ["--connect-timeout 2h"]),
        ):
            done = netduet.run("hello", *words, target)
            assert done.returncode == 2
            named = [line.split(": ")[1] for line in done.stderr.splitlines()]
            assert sorted(named) == shown


# Completion


def complete(netduet: NetduetCommand, *words: str) -> set[str]:
    """Return what bash would offer for the last word."""
    script = netduet.run("completion", "bash")
    assert (script.returncode, script.stderr) == (0, "")
    typed = " ".join(map(shlex.quote, words))
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-s"],
        input=f"{script.stdout}\n"
        f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; "
        "function=$(complete -p netduet); function=${function#* -F }; "
        '${function% *}; printf "%s\\n" "${COMPREPLY[@]}"',
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("netduet", "ch"), {"check"}),
        (("netduet", "co"), {"config", "completion"}),
        (("netduet", "config", ""), {"show", "check", "reference"}),
        (("netduet", "completion", ""), {"bash", "zsh", "fish"}),
        (("netduet", "check", "--pro"), {"--profile"}),
        (("netduet", "serve", "--drain-t"), {"--drain-timeout"}),
    ],
)
def test_bash_completes_commands_and_flags(
    netduet: NetduetCommand, words: tuple[str, ...], offered: set[str]
) -> None:
    """The script is loaded by bash, and its function is called."""
    assert complete(netduet, *words) == offered


@pytest.mark.parametrize(
    ("shell", "start"),
    [("zsh", "#compdef netduet\n"), ("fish", "# Fish completion for netduet\n")],
)
def test_completion_of_other_shells_has_commands_and_flags(
    netduet: NetduetCommand, shell: str, start: str
) -> None:
    """Each has the commands, and a flag of each service."""
    done = netduet.run("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(start)
    for word in ("check", "drain-timeout", "max-outage"):
        assert re.search(rf"\b{word}\b", done.stdout)
