"""``netduet check`` as a process, against good, foreign and missing servers."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
from typing import Any

import pytest

from tests.integration.conftest import ServeCommand
from tests.integration.foreign_servers import (
    Behaviour,
    answer_and_close,
    close_by_reset,
    close_normally,
    closed_port,
    convert_line_ends,
    echo_bytes,
    foreign_server,
    stay_silent,
)
from tests.integration.framed_client import FramedClient
from tests.integration.servers import NetduetCommand, unwrapped

Done = subprocess.CompletedProcess[str]

CHECKS = ["name", "reach", "identity", "path"]
"""The checks that stand on each other; all others stand on these."""

SOON = "--answer-timeout=1s"

DEMANDED = ("--expect-service", "netduet")
ESCAPED = r"\r\n\x1b[31m"


def outcomes(done: Done) -> dict[str, str]:
    """Return what each of these checks came to, of a single target."""
    found = re.findall(r"^  ([A-Z]+) +(\w+) ", done.stdout, re.MULTILINE)
    return {check: outcome for outcome, check in found if check in CHECKS}


def failed(done: Done, check: str) -> str:
    """Return the class of failure, of which this check is the root."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr == ""
    before = CHECKS[: CHECKS.index(check)]
    after = CHECKS[len(before) + 1 :]
    assert outcomes(done) == dict.fromkeys(before, "PASS") | {check: "FAIL"}
    assert bool(after) == (f"checks skipped: {check} failed" in done.stdout)
    [found] = re.findall(r" FAIL: [^(]+ \(([a-z_.]+)\) observed ", unwrapped(done))
    assert isinstance(found, str)
    return found


# A netduet


def test_good_server_passes(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """All checks pass: status 0, and a verdict that names the target."""
    server = serve_command(instance="the-one")
    done = netduet.run("check", f"127.0.0.1:{server.port}")
    assert (done.returncode, done.stderr) == (0, "")
    assert outcomes(done) == dict.fromkeys(CHECKS, "PASS")
    first, *_, last = done.stdout.splitlines()
    assert first == f"127.0.0.1:{server.port}"
    assert last == f"PASS: the network between here and {first} works"
    assert "instance the-one" in unwrapped(done)


def test_ipv6_target_in_brackets_passes(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """An IPv6 address with a port is typed and shown in brackets."""
    server = serve_command(host="::1")
    done = netduet.run("check", f"[::1]:{server.port}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"[::1]:{server.port}\n")


@pytest.mark.parametrize(
    ("flag", "host", "other"), [("-4", "127.0.0.1", "::1"), ("-6", "::1", "127.0.0.1")]
)
def test_family_flag_uses_that_family_alone(
    serve_command: ServeCommand,
    netduet: NetduetCommand,
    flag: str,
    host: str,
    other: str,
) -> None:
    """The address of the other family is not used, though a server listens there."""
    port = str(serve_command(host="").port)
    assert netduet.run("check", flag, "-p", port, host).returncode == 0
    done = netduet.run("check", flag, "-p", port, other)
    assert failed(done, "name").startswith("name.")
    assert other in unwrapped(done)


def test_other_service_fails_and_is_named(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """Both services are named; * accepts any."""
    target = f"127.0.0.1:{serve_command(service='billing').port}"
    done = netduet.run("check", "--expect-service", "orders", target)
    assert done.returncode == 1
    # There is a path to look at, whoever's it is.
    assert outcomes(done) == dict.fromkeys(CHECKS, "PASS") | {"identity": "FAIL"}
    assert "(identity.other_service)" in done.stdout
    assert 'service "billing"; expected "orders"' in unwrapped(done)
    for expected in ("billing", "*"):
        done = netduet.run("check", "--expect-service", expected, target)
        assert done.returncode == 0, done.stdout


def test_full_server_is_busy(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """A server at its connection limit is not called broken."""
    server = serve_command(max_connections=1)
    with FramedClient(server.port):
        done = netduet.run("check", f"127.0.0.1:{server.port}")
    assert failed(done, "identity") == "identity.busy"


# Nobody, and somebody else


def test_closed_port_is_refused(netduet: NetduetCommand) -> None:
    """Reach fails, and the checks that require it are not judged."""
    with closed_port() as target:
        done = netduet.run("check", target)
    assert failed(done, "reach") == "reach.refused"
    assert f"observed {target} refuses connections" in unwrapped(done)
    assert "where client (this end)" in unwrapped(done)
    assert "note: localhost is this " in unwrapped(done)


def test_unknown_name_is_the_root(netduet: NetduetCommand) -> None:
    """A name that does not resolve fails, and nothing else is blamed."""
    done = netduet.run("check", "nonexistent.invalid")
    # Where no DNS server can be asked, the resolver has no answer instead of a no.
    assert failed(done, "name").startswith("name.")
    assert "checks skipped: name failed" in done.stdout


@pytest.mark.parametrize(
    ("behaviour", "failure", "seen"),
    [
        (stay_silent, "identity.silent", "did not respond within 1."),
        (close_normally, "identity.closed", "then closed it without a response"),
        (close_by_reset, "identity.reset", "then reset it without a response"),
        (echo_bytes, "identity.not_netduet", "it is an echo service"),
        (
            answer_and_close(b"Hello, client!"),
            "identity.plain",
            "the plain-text greeting only",
        ),
        (
            answer_and_close(b"\x9eNDT\n\x1a\n"),
            "identity.mangled",
            "its CR LF became LF",
        ),
        (
            answer_and_close(b"\x00\x01\x02"),
            "identity.not_netduet",
            "speaks an unknown protocol",
        ),
    ],
)
def test_foreign_server_is_classified(
    netduet: NetduetCommand, behaviour: Behaviour, failure: str, seen: str
) -> None:
    """The kernel accepts, so reach passes; identity has a class and a text."""
    with foreign_server(behaviour) as peer:
        done = netduet.run("check", SOON, *DEMANDED, peer.target)
    assert failed(done, "identity") == failure
    assert f"observed {peer.target}" in unwrapped(done)
    assert seen in unwrapped(done)


@pytest.mark.parametrize(
    ("protocol", "sent", "shown"),
    [
        ("HTTP", b"HTTP/1.1 400 No\r\n\x1b[31m", rf"HTTP/1.1 400 No{ESCAPED}"),
        ("TLS", b"\x15\x03\x01\x00\x02\x02\x46", r"\x15\x03\x01\x00\x02\x02F"),
        ("SSH", b"SSH-2.0-x\r\n\x1b[31m", rf"SSH-2.0-x{ESCAPED}"),
        ("PROXY protocol", b"PROXY UNKNOWN\r\n\x1b[31m", rf"PROXY UNKNOWN{ESCAPED}"),
        ("an unknown protocol", b"\xff\x80caf\xc3\xa9\x07", r"\xff\x80café\x07"),
    ],
)
def test_foreign_protocol_is_recognised_and_escaped(
    netduet: NetduetCommand, protocol: str, sent: bytes, shown: str
) -> None:
    """The foreign server's output is shown, and cannot control the terminal."""
    with foreign_server(answer_and_close(sent)) as peer:
        done = netduet.run("check", *DEMANDED, peer.target)
    assert failed(done, "identity") == "identity.not_netduet"
    assert f"{peer.target} speaks {protocol}, not netduet" in unwrapped(done)
    assert f'server its first bytes: "{shown}"' in unwrapped(done)
    assert all(line.isprintable() for line in done.stdout.split("\n"))


def test_text_converting_proxy_is_located_on_the_upload_path(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """The server says that it got a converted magic."""
    with foreign_server(convert_line_ends(serve_command().port)) as peer:
        done = netduet.run("check", *DEMANDED, peer.target)
    assert failed(done, "identity") == "identity.mangled"
    assert "where path → (the path to the server)" in unwrapped(done)


# Several targets, and those of the settings


def test_worst_of_several_targets_counts(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """Each target has its verdict; one failure makes the status 1."""
    good = f"127.0.0.1:{serve_command().port}"
    with closed_port() as bad:
        for targets in ([good, bad], [bad, good]):
            done = netduet.run("check", *targets)
            assert done.returncode == 1
            heads = [line for line in done.stdout.splitlines() if line in targets]
            assert heads == targets
            last = done.stdout.splitlines()[-1]
            assert last.startswith("2 targets: ")
            assert set(last.removeprefix("2 targets: ").split(", ")) == {
                "1 PASS",
                "1 FAIL",
            }
    done = netduet.run("check", good, good)
    assert done.returncode == 0
    assert done.stdout.endswith("\n2 targets: 2 PASS\n")


def test_targets_come_from_the_variable(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """The variable may list several targets; typed ones replace them."""
    good = f"127.0.0.1:{serve_command().port}"
    with closed_port() as bad:
        done = netduet.run("check", env={"NETDUET_CLIENT_TARGET": f"{good}, {bad}"})
        assert done.returncode == 1
        assert done.stdout.endswith("\n2 targets: 1 PASS, 1 FAIL\n")
        done = netduet.run("check", good, env={"NETDUET_CLIENT_TARGET": bad})
    assert (done.returncode, done.stderr) == (0, "")
    assert bad not in done.stdout


def test_missing_target_is_a_one_line_error(netduet: NetduetCommand) -> None:
    """Status 2, and both ways to give a target."""
    done = netduet.run("check")
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert "host:port" in line
    assert "NETDUET_CLIENT_TARGET" in line


# Signals


def interrupted(
    netduet: NetduetCommand, number: int, *words: str
) -> tuple[Done, list[str]]:
    """Send a signal while a silent peer is waited for; another target is still to come."""
    with foreign_server(stay_silent) as peer, closed_port() as other:
        targets = [peer.target, other]
        process = netduet.start("check", "--answer-timeout=1h", *words, *targets)
        with contextlib.ExitStack() as stack:
            stack.callback(process.kill)  # else the peer would wait for its client
            peer.wait_for_data()
            process.send_signal(number)
            done = netduet.finish(process)
    assert (done.returncode, done.stderr) == (3, "")
    return done, targets


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_gives_an_interrupted_verdict(
    netduet: NetduetCommand, number: int
) -> None:
    """The results so far are printed, the verdict says interrupted, and status is 3."""
    done, targets = interrupted(netduet, number)
    output = unwrapped(done)
    assert "PASS reach" in output
    for target in targets:
        stopped = f"INCONCLUSIVE: interrupted before all checks of {target} were done"
        assert stopped in output
    assert "PASS:" not in output
    assert output.endswith("2 targets: 2 INCONCLUSIVE")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_a_complete_document(
    netduet: NetduetCommand, number: int
) -> None:
    """The document says for each target that it was interrupted, and where."""
    done, targets = interrupted(netduet, number, "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert (document["outcome"], document["exit_status"]) == ("INCONCLUSIVE", 3)
    finished = {
        target_report["target"]: (
            target_report["interrupted"],
            [check["name"] for check in target_report["checks"]],
        )
        for target_report in document["targets"]
    }
    assert finished[targets[0]] == (True, ["name", "reach"])
    interrupted_too, names = finished[targets[1]]  # checked at the same time
    assert interrupted_too
    assert names == ["name", "reach"][: len(names)]
