"""``netduet check`` of services that are asked over UDP: DNS and NTP."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from tests.integration.servers import NetduetCommand, unwrapped

SOON = "--answer-timeout=1500ms"
ANSWER_BIT, NO_NAMES = 0x80, bytes(6)


@contextlib.contextmanager
def dns_server(*, unanswered: int = 0) -> Iterator[str]:
    """Answer questions over UDP, except the first ones; yield the target."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(0.05)
        done = threading.Event()

        def serve() -> None:
            count = 0
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    question, client = sock.recvfrom(4096)
                    count += 1
                    if count > unanswered:
                        head = question[:2] + bytes([question[2] | ANSWER_BIT])
                        rest = question[3:4] + question[4:6] + NO_NAMES + question[12:]
                        sock.sendto(head + rest, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"dns://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


def target_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the only target of a JSON report."""
    [target] = json.loads(done.stdout)["targets"]
    assert isinstance(target, dict)
    return target


def test_answering_service_passes_over_udp(netduet: NetduetCommand) -> None:
    """The verdict does not claim that connections were made."""
    with dns_server() as target:
        done = netduet.run("check", SOON, target)
    assert done.returncode == 0, done.stdout
    text = unwrapped(done)
    assert "answers as DNS over UDP (4 checks from this end)" in text
    assert "accepts connections" not in text


def test_lost_question_is_sent_again_and_noted(netduet: NetduetCommand) -> None:
    """No kernel sends it again."""
    with dns_server(unanswered=1) as target:
        done = netduet.run("check", SOON, target)
    assert done.returncode == 0, done.stdout
    assert "responded only after 1 datagram had got no response" in unwrapped(done)


def test_closed_port_is_reported_by_its_host(netduet: NetduetCommand) -> None:
    """ICMP port unreachable (RFC 1122 §3.2.2.1) comes at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    done = netduet.run("check", SOON, "--json", f"ntp://127.0.0.1:{port}")
    root = target_of(done)["root"]
    assert (done.returncode, root["class"]) == (1, "reach.port_unreachable")


def test_silent_service_gets_no_verdict_of_tcp(netduet: NetduetCommand) -> None:
    """Both datagrams are counted."""
    with dns_server(unanswered=99) as target:
        done = netduet.run("check", SOON, "--json", target)
    root = target_of(done)["root"]
    assert (done.returncode, root["class"]) == (1, "reach.no_response")
    assert "2 datagrams in 1.5 s, no response" in root["evidence"][0]["text"]
