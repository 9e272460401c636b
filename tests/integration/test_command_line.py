"""The command line: help, one-line errors, and the settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from netduet import __version__
from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.settings import ClientSettings
from netduet.config.load import Settings, flag
from netduet.server.settings import ServerSettings
from tests.integration.foreign_servers import closed_port
from tests.integration.servers import TIMEOUT_SECONDS, NetduetCommand

ROOT = Path(__file__).parents[2]
SERVICES = (ServerSettings, ClientSettings)
SAID_BY_HELLO = {
    "--port",
    "--family",
    "--greeting",
    "--resolve-timeout",
    "--connect-timeout",
    "--answer-timeout",
}


def flags_of(model: type[Settings], *besides: str) -> set[str]:
    """Return the flags of a service's settings, but for some fields."""
    return {flag(model, field) for field in model.model_fields if field not in besides}


def refused(
    netduet: NetduetCommand, *words: str, env: dict[str, str] | None = None
) -> list[str]:
    """Return the lines in which a command line is refused: status 2, nothing done."""
    done = netduet.run(*words, env=env)
    assert (done.returncode, done.stdout) == (2, ""), done
    lines = done.stderr.splitlines()
    assert all(line.startswith("netduet: ") for line in lines)
    return [line.removeprefix("netduet: ") for line in lines]


# Help

NOT_OF_CHECK = (
    *("target", "greeting", "admin_host", "admin_port"),
    *(name for name in ClientSettings.model_fields if name.startswith("watch_")),
)
NOT_OF_WATCH = (
    *("target", "greeting", "profile", "checks", "expect", "max_loss", "idle_rungs"),
    *("min_rate", "stream_time", "expect_instances", "junit", "resume", "wait"),
    *("need", "purpose", "tls_fingerprint", "tls_issuer", "tls_min_days"),
    "expect_client_certificate",
)


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("serve", flags_of(ServerSettings)),
        ("check", flags_of(ClientSettings, *NOT_OF_CHECK) | {"-4", "-6"}),
        ("watch", flags_of(ClientSettings, *NOT_OF_WATCH) | {"-4", "-6"}),
        ("hello", SAID_BY_HELLO | {"-4", "-6"}),
        ("explain", set()),
    ],
)
def test_command_help_lists_its_flags(
    netduet: NetduetCommand, command: str, flags: set[str]
) -> None:
    """Every setting that a command uses is in its help, and no other."""
    done = netduet.run(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: netduet {command} ")
    boxed = " ".join(re.findall("^│ (-.*?)(?:  |$)", done.stdout, re.MULTILINE))
    listed = {word for word in boxed.split() if re.fullmatch("--?[a-z0-9-]+", word)}
    short = {"-p", "-J", "-t", "-i", "-w"}
    negative = {f"--no-{flag.removeprefix('--')}" for flag in flags}
    assert flags == listed - short - negative


@pytest.mark.parametrize("words", [("--help",), ("-h",), ()])
def test_help_lists_all_commands(
    netduet: NetduetCommand, words: tuple[str, ...]
) -> None:
    """The help shows a new user what there is."""
    done = netduet.run(*words)
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("check", "config", "explain", "hello", "serve"):
        assert re.search(rf"^│ {command} +[A-Z]", done.stdout, re.MULTILINE)


def test_version_is_printed(netduet: NetduetCommand) -> None:
    """The version alone, for scripts."""
    for word in ("--version", "-V"):
        done = netduet.run(word)
        assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


# What means nothing


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("chekc", 'Did you mean "check"?'),
        ("check --prot 1 x", "Did you mean --port?"),
        ("check --port", "--port requires an argument"),
        ("check --json=maybe x", '"maybe"'),
        ("check -4 -6 x", "-4, -6 and --family exclude each other: use one of them"),
        (
            "check -4 --family 6 x",
            "-4, -6 and --family exclude each other: use one of them",
        ),
        ("hello", "TARGET requires an argument"),
        ("hello a b", "unexpected 'b'"),
        ("serve now", "unexpected 'now'"),
        ("config shwo", 'Did you mean "show"?'),
        ("config reference --format toml", "markdown"),
        ("explain reach.refuse", "did you mean reach.refused?"),
        # Values: what was given, and what would be right.
        ("check --port abc x", "--port abc: must be a whole number"),
        ("check --port 99999 x", "--port 99999: must be at most 65535"),
        ("check --answer-timeout soon x", "--answer-timeout soon: must be a time such"),
        ("check --family 5 x", "--family 5: must be any, 4 or 6"),
        ("hello --greeting= x", "--greeting '': must not be empty"),
        ("serve --max-frame-size big", "--max-frame-size big: must be a size such"),
        # Targets.
        ("check x/gopher", "target 'x/gopher': unknown protocol 'gopher'; the known"),
        ("hello gopher://u:p@x/y", "target 'gopher://x': unknown protocol 'gopher'; "),
        ("check 5432", "did you mean localhost:5432 or HOST:5432?"),
        ("check a b 80", "'80' is no target: did you mean b:80?"),
        ("watch a 80 443", "'80' is no target: did you mean a:80?"),
        ("check a:1 80", "'80' is no target: did you mean HOST:80?"),
        (
            "check a 99999",
            "target 'a:99999': the port must be a number from 1 to 65535",
        ),
        ("hello a 80 b", "unexpected 'b'"),
        (
            "hello a:1=open",
            "target 'a:1=open': hello takes no expectation: remove the =",
        ),
        ("check x:0", "target 'x:0': the port must be a number from 1 to 65535"),
        ("hello [::1", "target '[::1': an IPv6 target is [address] or [address]:port"),
    ],
)
def test_invalid_command_is_a_one_line_error(
    netduet: NetduetCommand, line: str, expected: str
) -> None:
    """One line says what is wrong and what is valid, with status 2."""
    [error_line] = refused(netduet, *line.split())
    assert expected in error_line


@pytest.mark.parametrize("command", ["check", "hello"])
def test_host_and_port_may_be_two_arguments(
    netduet: NetduetCommand, command: str
) -> None:
    """HOST PORT, as for nc and telnet, is the target HOST:PORT."""
    with closed_port() as target:
        done = netduet.run(command, *target.split(":"))
    assert done.returncode == 1
    assert f"{target} refuses" in done.stdout or f"{target}: ECONN" in done.stderr


def test_watch_takes_host_and_port(netduet: NetduetCommand) -> None:
    """An IPv6 address needs no brackets then: only the admin address is refused."""
    words = ("watch", "::1", "12345", "--admin-host", "256.0.0.1", "--admin-port", "1")
    [line] = refused(netduet, *words)
    assert line.startswith("cannot listen on 256.0.0.1")


def test_secrets_of_a_url_are_not_shown(netduet: NetduetCommand) -> None:
    """Neither an error nor ``config show`` has user info, path or query."""
    variables = {"NETDUET_CLIENT_TARGET": "web gopher://u:SECRET@db/SECRET?SECRET"}
    assert refused(netduet, "check", env=variables)[0].startswith(
        "NETDUET_CLIENT_TARGET=web …: target 'gopher://db': unknown protocol"
    )
    url = "postgresql://u:SECRET@db/SECRET?a=SECRET=blocked"
    done = netduet.run("config", "show", env={"NETDUET_CLIENT_TARGET": url})
    assert done.returncode == 0
    assert "NETDUET_CLIENT_TARGET=postgresql://db=blocked " in done.stdout
    assert "SECRET" not in done.stdout


def test_secrets_of_a_url_are_not_in_report_or_log(netduet: NetduetCommand) -> None:
    """The report names host and port, and so do all log lines."""
    with closed_port() as target:
        url = f"postgresql://u:SECRET@{target}/SECRET?SECRET"
        done = netduet.run("check", "--json", "--log-level=debug", url)
    assert json.loads(done.stdout)["targets"][0]["target"] == target
    assert done.stderr
    assert "SECRET" not in done.stdout + done.stderr


def test_settings_load_no_protocol_and_no_parser() -> None:
    """Both take a while, and most command lines need neither."""
    code = (
        "import sys; from netduet.cli import commands; commands.client_settings(); "
        "print([name for name in sys.modules "
        "if name.startswith(('cyclopts', 'netduet.client.protocols'))])"
    )
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert output == "[]\n"


def test_invalid_values_give_a_line_each(netduet: NetduetCommand) -> None:
    """All errors are reported at once, from every source."""
    (netduet.folder / ".env").write_text("NETDUET_CLIENT_COLOR=red\n")
    variables = {"NETDUET_CLIENT_CONNECT_TIMEOUT": "0s"}
    assert set(refused(netduet, "check", "--port", "0", "x", env=variables)) == {
        "--port 0: must be at least 1",
        "NETDUET_CLIENT_CONNECT_TIMEOUT=0s: must be more than 0s",
        ".env: NETDUET_CLIENT_COLOR=red: must be auto, always or never",
    }


def test_invalid_targets_give_a_line_each(netduet: NetduetCommand) -> None:
    """With one invalid target nothing is checked."""
    with closed_port() as target:
        lines = refused(netduet, "check", target, "a:b", "c/d")
    assert [line.partition(": ")[0] for line in lines] == [
        "target 'a:b'",
        "target 'c/d'",
    ]


@pytest.mark.parametrize("command", [("serve",), ("check", "x"), ("hello", "x")])
def test_misspelt_variable_is_rejected_with_the_nearest_name(
    netduet: NetduetCommand, command: tuple[str, ...]
) -> None:
    """A misspelt setting is not ignored silently."""
    service = "SERVER" if command == ("serve",) else "CLIENT"
    [line] = refused(netduet, *command, env={f"NETDUET_{service}_PROT": "1"})
    assert line == (
        f"NETDUET_{service}_PROT: no setting has this name: "
        f"did you mean NETDUET_{service}_PORT?"
    )


def test_kubernetes_service_links_are_ignored_and_logged(
    netduet: NetduetCommand,
) -> None:
    """Variables of a Service with our name are no settings."""
    links = {
        "NETDUET_CLIENT_PORT": "tcp://10.0.0.1:12345",
        "NETDUET_CLIENT_SERVICE_HOST": "10.0.0.1",
        "NETDUET_CLIENT_PORT_12345_TCP_ADDR": "10.0.0.1",
    }
    with closed_port() as target:
        done = netduet.run("check", "--log-level=info", target, env=links)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    [line] = [line for line in lines if line["event"] == "settings.ignored"]
    assert line["netduet.names"] == sorted(links)
    assert "(reach.refused)" in done.stdout
    assert done.returncode == 1


# config


def test_show_prints_each_value_and_its_source(netduet: NetduetCommand) -> None:
    """One line per setting, as it can be typed, with its source."""
    (netduet.folder / ".env").write_text("NETDUET_SERVER_LINGER=500ms\n")
    variables = {
        "NETDUET_CLIENT_TARGET": "a b:1",
        "NETDUET_SERVER_SERVICE_HOST": "10.0.0.1",
    }
    done = netduet.run("config", "show", env=variables)
    assert (done.returncode, done.stderr) == (0, "")
    lines = re.findall(r"^(\w+)=(.*?) +# ([\w.]+)$", done.stdout, re.MULTILINE)
    shown = {name: (value, origin) for name, value, origin in lines}
    names = [
        model.variable(field) for model in SERVICES for field in model.model_fields
    ]
    assert list(shown) == names
    assert shown["NETDUET_CLIENT_TARGET"] == ("a,b:1", "environment")
    assert shown["NETDUET_SERVER_LINGER"] == ("500ms", ".env")
    assert shown["NETDUET_SERVER_PORT"] == ("12345", "default")
    aside = "# NETDUET_SERVER_SERVICE_HOST is ignored: Kubernetes set it"
    assert aside in done.stdout.splitlines()


def test_config_check_of_valid_settings_succeeds(netduet: NetduetCommand) -> None:
    """Valid settings give a line and status 0; those of compose are known."""
    (netduet.folder / ".env").write_text("NETDUET_PUBLISH_PORT=1\nOTHER=1\n")
    done = netduet.run("config", "check", env={"NETDUET_CLIENT_TARGET": "server"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "settings are valid\n"


def test_config_check_reports_errors_of_client_and_server(
    netduet: NetduetCommand,
) -> None:
    """Invalid values, misspelt and unknown names have a line each."""
    (netduet.folder / ".env").write_text("NETDUET_PUBLISH_PROT=1\n")
    variables = {
        "NETDUET_SERVER_PORT": "99999",
        "NETDUET_CLIENT_TARGT": "server",
        "NETDUET_CLINT_PORT": "1",
        "NETDUET_ELSE": "1",
    }
    meant = "did you mean NETDUET"
    assert set(refused(netduet, "config", "check", env=variables)) == {
        "NETDUET_SERVER_PORT=99999: must be at most 65535",
        f"NETDUET_CLIENT_TARGT: no setting has this name: {meant}_CLIENT_TARGET?",
        f"NETDUET_CLINT_PORT: nothing reads this name: {meant}_CLIENT_PORT?",
        "NETDUET_ELSE: nothing reads this name; see docs/configuration.md",
        f".env: NETDUET_PUBLISH_PROT: nothing reads this name: {meant}_PUBLISH_PORT?",
    }


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("markdown", r"^\| `(NETDUET_(?:SERVER|CLIENT)_\w+)` \| `"),
        ("env", r"^# (NETDUET_(?:SERVER|CLIENT)_\w+)="),
        ("compose", r"^(NETDUET_(?:SERVER|CLIENT)_\w+): \$\{\1:-\}$"),
    ],
)
def test_reference_lists_each_setting(
    netduet: NetduetCommand, form: str, pattern: str
) -> None:
    """Each format has every setting of both programs once, in order."""
    done = netduet.run("config", "reference", "--format", form)
    assert (done.returncode, done.stderr) == (0, "")
    names = [
        model.variable(field) for model in SERVICES for field in model.model_fields
    ]
    assert re.findall(pattern, done.stdout, re.MULTILINE) == names


# explain, and what is generated


def test_explain_lists_all_classes(netduet: NetduetCommand) -> None:
    """One line per class: its name and its title."""
    done = netduet.run("explain")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.split(" {2,}", line) for line in done.stdout.splitlines()]
    assert lines == [[failure.name, failure.title] for failure in CATALOGUE.values()]


def test_explain_prints_all_of_a_class(netduet: NetduetCommand) -> None:
    """Title, meaning, location, causes and next steps, in 80 columns."""
    done = netduet.run("explain", "reach.timeout")
    assert (done.returncode, done.stderr) == (0, "")
    failure = CATALOGUE["reach.timeout"]
    output = " ".join(done.stdout.split())
    for text in (failure.title, failure.meaning, *failure.causes, *failure.next):
        assert text in output
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_explain_accepts_an_older_name_and_says_the_present_one(
    netduet: NetduetCommand,
) -> None:
    """A name that a script or an old report has leads to the class as it is today."""
    done = netduet.run("explain", "balance.ghost")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == netduet.run("explain", "balance.unhealthy_backend").stdout
    assert done.stdout.startswith("balance.unhealthy_backend: ")
    assert done.stdout.splitlines()[1] == "(formerly balance.ghost)"


def test_generated_pages_match_the_declarations() -> None:
    """After a change of checks, classes, log events or fields run make docs."""
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS * 3,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
