"""``netduet hello``: the plain conversation with servers that know no other."""

from __future__ import annotations

import re
import socket

import pytest

from tests.integration.conftest import ServeCommand
from tests.integration.peer import GREETING, HELLO
from tests.integration.running import Netduet
from tests.integration.strangers import (
    Manner,
    closing,
    lingering,
    nobody,
    resetting,
    saying,
    silent,
    stranger,
)

SOON = "--answer-timeout=500ms"


def once(sock: socket.socket) -> None:
    """Read once, answer, close: the plainest server there is."""
    sock.recv(1024)
    sock.sendall(GREETING)


def complaint(netduet: Netduet, *words: str) -> str:
    """Return the one line in which it says that there is no answer."""
    done = netduet.run("hello", *words)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("netduet: hello: ")
    return line


# Whoever answers


def test_answer_of_a_minimal_server_is_printed(netduet: Netduet) -> None:
    """Only the answer is on stdout; the greeting was sent without a terminator."""
    with stranger(once) as peer:
        done = netduet.run("hello", peer.target)
        assert peer.heard == HELLO
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")
    [line] = done.stderr.splitlines()
    assert re.fullmatch(rf"14 bytes from {peer.target} in \d+\.\d ms", line)


def test_answer_of_a_server_that_never_closes_is_printed(netduet: Netduet) -> None:
    """An answer counts although the connection stays open."""
    with stranger(lingering(GREETING)) as peer:
        done = netduet.run("hello", SOON, peer.target)
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")


def test_answer_in_pieces_is_joined(netduet: Netduet) -> None:
    """All pieces up to the end of the stream are one answer."""

    def manner(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(GREETING)):
            sock.sendall(GREETING[number : number + 1])
        closing(sock)

    with stranger(manner) as peer:
        done = netduet.run("hello", peer.target)
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")


def test_netduet_server_answers_and_logs_the_greeting(
    serve_command: ServeCommand, netduet: Netduet
) -> None:
    """Our own server answers, and logs the text."""
    server = serve_command(greeting="Guten Tag!")
    done = netduet.run("hello", "--greeting", "Hallo?", f"127.0.0.1:{server.port}")
    assert (done.returncode, done.stdout) == (0, "Guten Tag!\n")
    assert server.closed()["netduet.text"] == "Hallo?"


def test_ipv6_server_answers(serve_command: ServeCommand, netduet: Netduet) -> None:
    """An IPv6 address is typed and shown in brackets."""
    port = serve_command(host="::1").port
    done = netduet.run("hello", "-6", f"[::1]:{port}")
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")
    assert f" from [::1]:{port} in " in done.stderr


def test_korean_text_round_trip(netduet: Netduet) -> None:
    """Text is UTF-8 both ways, and is shown unchanged."""
    said, answer = "안녕, 서버!", "안녕, 클라이언트!"
    with stranger(saying(answer.encode())) as peer:
        done = netduet.run("hello", "--greeting", said, peer.target)
        assert peer.heard == said.encode()
    assert (done.returncode, done.stdout) == (0, f"{answer}\n")


def test_answer_is_escaped(netduet: Netduet) -> None:
    """No answer can move the cursor, forge a line, or change the text direction."""
    answer = b"a\x1b[2J\x07\r\nPASS\xff\\ " + "\u202eb".encode()
    with stranger(saying(answer)) as peer:
        done = netduet.run("hello", peer.target)
    assert done.returncode == 0
    assert done.stdout == r"a\x1b[2J\x07\r\nPASS\xff\\ \u202eb" + "\n"


def test_long_answer_is_truncated(netduet: Netduet) -> None:
    """A long answer ends in an ellipsis; all bytes are counted."""
    with stranger(saying(b"x" * 10_000)) as peer:
        done = netduet.run("hello", peer.target)
    assert (done.returncode, done.stdout) == (0, "x" * 4096 + "…\n")
    assert done.stderr.startswith("10000 bytes from ")


# Whoever does not


@pytest.mark.parametrize(
    ("manner", "ended"),
    [
        (silent, "no answer within 0.5 s; the connection is still open"),
        (closing, "closed without a response"),
        (resetting, "ECONNRESET: "),
    ],
)
def test_missing_answer_is_a_one_line_error(
    netduet: Netduet, manner: Manner, ended: str
) -> None:
    """A server that closes without an answer gives status 1 and one line."""
    with stranger(manner) as peer:
        line = complaint(netduet, SOON, peer.target)
    assert f"{peer.target}: connected, then: {ended}" in line


def test_closed_port_is_a_one_line_error(netduet: Netduet) -> None:
    """Status 1, and the line names the port."""
    with nobody() as target:
        line = complaint(netduet, target)
    assert f"{target}: ECONNREFUSED" in line


def test_unknown_name_is_a_one_line_error(netduet: Netduet) -> None:
    """Status 1, and the line has the name."""
    assert "nonexistent.invalid: " in complaint(netduet, "nonexistent.invalid")
