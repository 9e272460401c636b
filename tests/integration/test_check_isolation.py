"""Targets that should be blocked, and several targets in one command."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from netduet.client.checks.isolation.measure import has_routes
from netduet.client.net.dial import Address
from netduet.client.net.port_probe import Response, probe_tcp, probe_udp
from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.foreign_servers import (
    answer_and_close,
    closed_port,
    foreign_server,
)
from tests.integration.servers import NetduetCommand, unwrapped

Done = subprocess.CompletedProcess[str]


# One target


def test_open_target_expected_blocked_fails(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """Status 1, the class, the server's identity, and no other checks."""
    target = f"127.0.0.1:{serve_command(instance='the-one').port}"
    done = netduet.run("check", f"{target}=blocked")
    assert (done.returncode, done.stderr) == (1, "")
    output = unwrapped(done)
    assert f"{target} is open: TCP connects" in output
    assert "instance the-one, responds; UDP responds too" in output
    assert "(isolation.open)" in output
    checks = re.findall(r"^  [A-Z]+ +([a-z]+) ", done.stdout, re.MULTILINE)
    assert checks == ["name", "isolation"]


def test_foreign_server_is_shown(netduet: NetduetCommand) -> None:
    """Any reachable server is named."""
    with foreign_server(answer_and_close(b"SSH-2.0-OpenSSH_9\r\n")) as peer:
        done = netduet.run("check", "--expect", "blocked", peer.target)
    assert done.returncode == 1
    assert "speaks SSH" in unwrapped(done)


@pytest.mark.parametrize("words_", [("{}=blocked",), ("--expect=blocked", "{}")])
def test_refused_target_passes_with_a_note(
    netduet: NetduetCommand, words_: tuple[str, ...]
) -> None:
    """A refusal is a block; a note says that the host itself sent it."""
    with closed_port() as target:
        done = netduet.run("check", *(word.format(target) for word in words_))
    assert (done.returncode, done.stderr) == (0, "")
    assert "TCP is rejected (reset)" in unwrapped(done)
    assert "does not prove that a firewall blocks it" in unwrapped(done)
    assert done.stdout.endswith(f"PASS: {target} is blocked, as expected: rejected\n")


def test_unknown_name_is_inconclusive(netduet: NetduetCommand) -> None:
    """A misspelt name must not pass for a block: status 3."""
    done = netduet.run("check", "nonexistent.invalid=blocked")
    assert (done.returncode, done.stderr) == (3, "")
    assert "a name that does not resolve proves nothing" in unwrapped(done)
    assert "INCONCLUSIVE: no verdict on nonexistent.invalid:12345" in unwrapped(done)


def test_unknown_expectation_is_a_one_line_error(netduet: NetduetCommand) -> None:
    """Status 2, and the valid ones."""
    for done in (
        netduet.run("check", "127.0.0.1:1=shut"),
        netduet.run("check", "127.0.0.1:1", "--expect=shut"),
        netduet.run("check", "--checks=isolation", "127.0.0.1:1"),
        netduet.run("hello", "127.0.0.1:1=blocked"),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        [line] = done.stderr.splitlines()
        assert re.search(r"open or blocked|=blocked|remove the =", line)


# Several targets


def test_tables_follow_the_verdicts(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """Open targets are checked first; results are in the order that was typed."""
    good = f"127.0.0.1:{serve_command().port}"
    with closed_port() as gone:
        env = {"NETDUET_CLIENT_TARGET": f"{gone}=blocked {good}"}
        done = netduet.run("check", "--checks=identity", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line for line in lines if line in {good, gone}] == [good, gone]
    wide = max(len(good), len(gone))
    assert lines[-8:] == [
        f"  {gone:<{wide}} expected blocked, found blocked (rejected)  ✓",
        f"  {good:<{wide}} expected open,    found open                ✓",
        "",
        f"  {'':<{wide}}  name  isolation  reach  identity",
        f"  {gone:<{wide}}  PASS  PASS",
        f"  {good:<{wide}}  PASS             PASS   PASS",
        "",
        "2 targets: 2 PASS",
    ]


def test_document_and_junit_have_both_expectations(
    serve_command: ServeCommand, netduet: NetduetCommand, tmp_path: Path
) -> None:
    """JSON has expected and found per target; JUnit a suite with a case per check."""
    file = tmp_path / "report.xml"
    good = f"127.0.0.1:{serve_command().port}"
    with closed_port() as gone:
        flags = ("--json", "--checks=reach", "--junit", str(file))
        done = netduet.run("check", *flags, f"{good}=blocked", gone)
    assert done.returncode == 1
    rows = [
        (entry["target"], entry["expected"], entry["found"], entry["how"])
        for entry in json.loads(done.stdout)["targets"]
    ]
    assert rows == [
        (good, "blocked", "open", "isolation.open"),
        (gone, "open", "not reached", "reach.refused"),
    ]
    suites = [
        [case.get("name") for case in suite] for suite in ET.parse(file).getroot()
    ]
    assert suites == [["name", "isolation"], ["name", "reach"]]


# Knocking


def loopback(port: int, host: str = "127.0.0.1") -> Address:
    """Return a port of a loopback address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Address(family, host, port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_server_is_open_for_tcp_and_udp(
    start_server: StartServer, host: str
) -> None:
    """A netduet server answers a connection and a datagram."""
    address = loopback((await start_server(host=host)).port, host)
    tcp = await asyncio.to_thread(probe_tcp, address, 5.0)
    udp = await asyncio.to_thread(probe_udp, address, 5.0)
    assert (tcp.response, udp.response) == (Response.OPEN, Response.OPEN)
    assert udp.detail.startswith("instance ")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_closed_port_refuses_tcp_and_udp(host: str) -> None:
    """A RST, and an ICMP error with its sender."""
    with socket.socket(loopback(0, host).family) as taken:
        taken.bind((host, 0))
        address = loopback(taken.getsockname()[1], host)
        tcp, udp = probe_tcp(address, 5.0), probe_udp(address, 5.0)
    assert (tcp.response, tcp.sent) == (Response.RESET, 1)
    assert (udp.response, udp.offender) == (Response.PORT_UNREACHABLE, host)


def test_unanswered_datagrams_are_dropped() -> None:
    """A socket that never answers several datagrams counts as dropped."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        udp = probe_udp(loopback(silent.getsockname()[1]), 0.3)
    assert (udp.response, udp.sent) == (Response.DROPPED, 4)


def test_full_accept_queue_is_dropped() -> None:
    """The kernel drops the SYN, so the port is silent."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = loopback(full.getsockname()[1])
        taken = [socket.create_connection(address.sockaddr)]
        tcp = probe_tcp(address, 0.2)
        for sock in taken:
            sock.close()
    assert (tcp.response, tcp.sent) == (Response.DROPPED, 1)


def test_local_routes_are_read() -> None:
    """The kernel knows whether there is a route; reading it never raises."""
    assert has_routes() in {True, False}
