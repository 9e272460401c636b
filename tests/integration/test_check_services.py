"""``netduet check`` of services that are not netduet: what answers decides."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from typing import Any

import pytest

from netduet.client.checks.identity import recognition
from netduet.client.checks.identity.recognition import Recogniser
from netduet.client.checks.identity.results import Expectation
from netduet.client.net.dial import Address, Cause
from netduet.client.net.timeouts import Timeouts
from tests.integration.conftest import ServeCommand
from tests.integration.foreign_servers import echo_bytes
from tests.integration.servers import NetduetCommand, unwrapped
from tests.integration.services import (
    Behaviour,
    answer_with,
    close_at_once,
    own_loopback_address,
    reset_at_once,
    send_first,
    serve_http,
    serve_http_with_late_content,
    serve_smtp,
    service,
    wait_for_client,
)

SOON = "--answer-timeout=1s"

FROM_HERE = {"name", "reach", "identity", "path"}
"""Checks that every service gets."""


def target_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the only target of a JSON report."""
    [target] = json.loads(done.stdout)["targets"]
    assert isinstance(target, dict)
    return target


def outcomes(target: dict[str, Any]) -> dict[str, str]:
    """Return the outcome of each check."""
    return {check["name"]: check["outcome"] for check in target["checks"]}


@pytest.mark.parametrize(
    ("behaviour", "answers_as"),
    [
        (serve_http(), "HTTP"),
        (send_first(b"SSH-2.0-test_1\r\n"), "SSH"),
        (answer_with(b"Hello, client!"), "plain greeting"),
        (serve_smtp, "SMTP"),
    ],
)
def test_healthy_service_passes_as_its_protocol(
    netduet: NetduetCommand, behaviour: Behaviour, answers_as: str
) -> None:
    """The verdict names the protocol, and what was not tested is one line."""
    with service(behaviour) as found:
        done = netduet.run("check", SOON, found.target)
    assert done.returncode == 0, done.stdout + done.stderr
    text = unwrapped(done)
    assert f"{found.target} accepts connections and answers as {answers_as}" in text
    assert "checks from this end)" in text
    assert "checks need netduet-server beside the service: `netduet between" in text


def test_size_is_asked_for_once_the_last_answer_is_complete(
    netduet: NetduetCommand,
) -> None:
    """HTTP takes one question at a time; content that comes late is no stall."""
    with service(serve_http_with_late_content) as found:
        done = netduet.run(
            "check", SOON, "--json", "--checks=size", f"{found.target}/http"
        )
    assert done.returncode == 0, done.stdout
    assert outcomes(target_of(done))["size"] == "PASS"


def close_after_answer(sock: socket.socket) -> None:
    """Answer one request, and close without a word about it."""
    sock.recv(65536)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def stay_silent_after_answer(sock: socket.socket) -> None:
    """Answer one request, and no other one."""
    sock.recv(65536)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    wait_for_client(sock)


@pytest.mark.parametrize("behaviour", [close_after_answer, stay_silent_after_answer])
def test_size_is_not_tried_without_a_second_answer(
    netduet: NetduetCommand, behaviour: Behaviour
) -> None:
    """A service that answers once per connection loses no large packets by that."""
    with service(behaviour) as found:
        done = netduet.run(
            "check", SOON, "--json", "--checks=size", f"{found.target}/http"
        )
    assert done.returncode == 3, done.stdout
    target = target_of(done)
    assert (outcomes(target)["size"], target["root"]) == ("SKIP", None)


@pytest.mark.parametrize(
    ("behaviour", "shown"),
    [
        (wait_for_client, "what it serves was not tested"),
        (send_first(b"\x01\x02news\x1b[31m"), r'first bytes: "\x01\x02news\x1b[31m"'),
        (echo_bytes, "a protocol that netduet does not know"),
    ],
)
def test_unknown_service_passes_and_says_what_was_not_tested(
    netduet: NetduetCommand, behaviour: Behaviour, shown: str
) -> None:
    """An accepted connection that stays open is all that is claimed."""
    with service(behaviour) as found:
        done = netduet.run("check", SOON, found.target)
    assert done.returncode == 0, done.stdout + done.stderr
    text = unwrapped(done)
    assert shown in text
    assert f"PASS: {found.target} accepts connections; what it serves was not" in text


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        (close_at_once, "identity.closed"),
        (reset_at_once, "identity.reset"),
        pytest.param(
            serve_http("503 Service Unavailable"), "identity.not_ready", id="503"
        ),
        pytest.param(serve_http("502 Bad Gateway"), "identity.not_ready", id="502"),
    ],
)
def test_service_that_does_not_serve_fails(
    netduet: NetduetCommand, behaviour: Behaviour, failure: str
) -> None:
    """An accepted connection alone is not enough when it is ended at once."""
    with service(behaviour) as found:
        done = netduet.run("check", SOON, "--json", "--checks=path", found.target)
    assert done.returncode == 1
    assert target_of(done)["root"]["class"] == failure


def test_silence_on_a_well_known_port_is_a_frozen_service(
    netduet: NetduetCommand,
) -> None:
    """A service that usually speaks there and says nothing is not taken for healthy."""
    with service(wait_for_client, own_loopback_address(), 6379) as found:
        done = netduet.run("check", SOON, found.target)
        anything = netduet.run("check", SOON, "--checks=path", f"{found.target}/tcp")
    assert done.returncode == 1
    assert "did not respond to Redis within" in unwrapped(done)
    assert anything.returncode == 0, anything.stdout


def test_netduet_on_a_port_of_another_protocol_is_found(
    netduet: NetduetCommand, serve_command: ServeCommand
) -> None:
    """On port 143 a service speaks first, and netduet-server waits."""
    host = own_loopback_address()
    serve_command(host=host, port=143)
    done = netduet.run("check", SOON, "--checks=path", f"{host}:143")
    assert done.returncode == 0, done.stdout
    assert "netduet-server" in unwrapped(done)


def test_any_protocol_is_fine_but_a_response_is_demanded(
    netduet: NetduetCommand,
) -> None:
    """A proxy that accepts and forwards nothing must not pass as a waiting service."""
    with service(wait_for_client) as found:
        flags = ("--json", "--checks=path", SOON)
        mute = netduet.run("check", *flags, f"{found.target}/any")
    with service(serve_http()) as found:
        http = netduet.run("check", *flags, f"{found.target}/any")
    with service(answer_with(b"\x01\x02\x03\x04")) as found:
        unknown = netduet.run("check", *flags, f"{found.target}/any")
    assert mute.returncode == 1
    root = target_of(mute)["root"]
    assert root["class"] == "identity.silent"
    assert "responds to no greeting" in root["seen"]
    assert http.returncode == 0, http.stdout
    assert unknown.returncode == 0, unknown.stdout


def test_any_protocol_still_demands_the_right_netduet(
    netduet: NetduetCommand, serve_command: ServeCommand
) -> None:
    """If a netduet server answers, it must be one of the expected service."""
    target = f"127.0.0.1:{serve_command(service='two').port}"
    flags = ("--json", "--checks=path", "--expect-protocol=any")
    other = netduet.run("check", *flags, "--expect-service=one", target)
    same = netduet.run("check", *flags, "--expect-service=two", target)
    assert target_of(other)["root"]["class"] == "identity.other_service"
    assert same.returncode == 0, same.stdout


async def test_silence_on_the_own_port_is_a_frozen_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On 12345, nothing else than an answer shows that the server is not frozen."""
    timeouts = Timeouts(resolve=1.0, connect=1.0, answer=0.5)
    recogniser = Recogniser("127.0.0.1", timeouts, Expectation())
    with service(wait_for_client) as found:
        address = Address(socket.AF_INET, found.host, found.port)
        anywhere = await recogniser.identify(address)
        monkeypatch.setattr(recognition, "NETDUET_PORT", found.port)
        own = await recogniser.identify(address)
    assert (anywhere.is_service, own.is_service) == (True, False)
    assert own.handshake.cause is Cause.TIMEOUT


def test_other_protocol_on_a_well_known_port_is_noted(netduet: NetduetCommand) -> None:
    """Nothing was demanded, so it passes, with a note."""
    with service(serve_http(), own_loopback_address(), 6379) as found:
        done = netduet.run("check", SOON, "--checks=path", found.target)
    assert done.returncode == 0, done.stdout
    assert "speaks HTTP, although Redis usually listens on port 6379" in unwrapped(done)


@pytest.mark.parametrize("flags", [("--expect-protocol", "redis"), ()])
def test_demanded_protocol_must_answer(
    netduet: NetduetCommand, flags: tuple[str, ...]
) -> None:
    """A flag or the target demands it; what answers instead is named."""
    with service(serve_http()) as found:
        target = found.target if flags else f"{found.target}/redis"
        done = netduet.run("check", SOON, "--json", *flags, target)
        right = netduet.run("check", SOON, "--checks=path", f"http://{found.target}/x")
    root = target_of(done)["root"]
    assert (done.returncode, root["class"]) == (1, "identity.other_protocol")
    assert root["seen"] == f"{found.target} speaks HTTP, not Redis"
    assert right.returncode == 0, right.stdout


def test_demanded_protocol_is_not_a_netduet_server(
    netduet: NetduetCommand, serve_command: ServeCommand
) -> None:
    """A netduet server in the place of a database is not the database."""
    target = f"127.0.0.1:{serve_command().port}/postgres"
    done = netduet.run("check", SOON, "--json", target)
    assert target_of(done)["root"]["class"] == "identity.other_protocol"


def test_netduet_server_is_recognised_without_a_demand(
    netduet: NetduetCommand, serve_command: ServeCommand
) -> None:
    """It gets all checks, on whatever port it listens."""
    target = f"127.0.0.1:{serve_command().port}"
    done = netduet.run("check", "--json", "--checks=udp", target)
    assert outcomes(target_of(done))["udp"] == "PASS"


def test_requested_check_that_cannot_run_is_no_pass(netduet: NetduetCommand) -> None:
    """Words, JSON and exit status agree."""
    with service(serve_http()) as found:
        text = netduet.run("check", SOON, "--checks=udp", found.target)
        done = netduet.run("check", SOON, "--json", "--checks=udp", found.target)
    assert (text.returncode, done.returncode) == (3, 3)
    assert "requested, but not run: udp" in unwrapped(text)
    target = target_of(done)
    assert (target["outcome"], target["requested"]) == ("SKIP", ["udp"])
    [udp] = [check for check in target["checks"] if check["name"] == "udp"]
    assert udp["needs_server"]


def test_idle_connections_of_a_silent_service_are_kept_alive(
    netduet: NetduetCommand,
) -> None:
    """The kernel's keep-alive asks, because the protocol has no question."""
    with service(wait_for_client) as found:
        flags = ("--checks=idle", "--idle-rungs=1s,2s")
        done = netduet.run("check", SOON, "--json", *flags, found.target)
    [idle] = [check for check in target_of(done)["checks"] if check["name"] == "idle"]
    assert (idle["outcome"], idle["figures"]["longest_lived"]) == ("PASS", 2.0)
    [note] = idle["remarks"]
    assert "a TCP proxy in between answers keep-alive itself" in note


def test_service_that_keeps_no_connection_was_not_tested_for_idle_ones(
    netduet: NetduetCommand,
) -> None:
    """It is no idle timeout of 0 s."""
    with service(close_after_answer) as found:
        flags = ("--checks=idle", "--idle-rungs=1s")
        done = netduet.run("check", SOON, *flags, f"{found.target}/http")
    text = unwrapped(done)
    assert "the other end closes connections at once" in text
    assert "how long one may be idle was not tested" in text


def test_limit_on_open_connections_is_told_from_a_dead_backend(
    netduet: NetduetCommand,
) -> None:
    """Whose limit it is cannot be seen from here."""
    free = threading.BoundedSemaphore(10)
    serve = serve_http()

    def serve_ten(sock: socket.socket) -> None:
        if free.acquire(blocking=False):
            try:
                serve(sock)
            finally:
                free.release()

    with service(serve_ten) as found:
        flags = ("--checks=churn", "--json")
        done = netduet.run("check", SOON, *flags, f"{found.target}/http")
    root = target_of(done)["root"]
    assert (root["class"], root["where"]) == ("churn.count_limited", "unknown")
    assert root["figures"]["limit_count"] == 10


def test_connections_that_the_service_closes_are_not_counted_as_open(
    netduet: NetduetCommand,
) -> None:
    """It speaks, and hangs up; the end of the last few may be still on its way."""
    with service(lambda sock: sock.sendall(b"\x01full")) as found:
        done = netduet.run("check", SOON, "--checks=churn", "--json", found.target)
    [churn] = [each for each in target_of(done)["checks"] if each["name"] == "churn"]
    assert churn["outcome"] == "PASS"
    assert churn["figures"]["held"] < 16


def test_service_that_closes_idle_connections_is_noted(netduet: NetduetCommand) -> None:
    """A service may do so; clients must know."""

    def close_after_a_while(_: socket.socket) -> None:
        threading.Event().wait(1.2)

    with service(close_after_a_while) as found:
        flags = ("--checks=idle", "--idle-rungs=3s")
        done = netduet.run("check", SOON, *flags, f"{found.target}/tcp")
    assert done.returncode == 0, done.stdout
    assert "connections that are idle for 1 s are closed" in unwrapped(done)


def test_service_that_closes_new_connections_for_a_while_is_reported(
    netduet: NetduetCommand,
) -> None:
    """It is no packet loss, so it need not last long to be proven."""
    with service(serve_http()) as found:
        flags = ("--checks=stream", "--stream-time=5s", "--json")
        process = netduet.start("check", *flags, found.target)
        found.wait_for_connections(12)
        found.pause(1.5)
        done = netduet.finish(process)
    root = target_of(done)["root"]
    assert (done.returncode, root["class"]) == (1, "stream.new_connections")
    assert "netduet server" not in root["seen"]
