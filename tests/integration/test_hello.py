"""``netduet hello``: the plain dialect with minimal servers."""

from __future__ import annotations

import re
import socket

import pytest

from tests.integration.conftest import ServeCommand
from tests.integration.foreign_servers import (
    Behaviour,
    answer_and_close,
    answer_and_stay,
    close_by_reset,
    close_normally,
    closed_port,
    foreign_server,
    stay_silent,
)
from tests.integration.framed_client import GREETING, HELLO
from tests.integration.servers import NetduetCommand

SOON = "--answer-timeout=500ms"


def answer_once(sock: socket.socket) -> None:
    """Read once, answer, close: the plainest server there is."""
    sock.recv(1024)
    sock.sendall(GREETING)


def complaint(netduet: NetduetCommand, *words: str) -> str:
    """Return the one line in which it says that there is no answer."""
    done = netduet.run("hello", *words)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("netduet: hello: ")
    return line


# Whoever answers


def test_answer_of_a_minimal_server_is_printed(netduet: NetduetCommand) -> None:
    """Only the answer is on stdout; the greeting was sent without a terminator."""
    with foreign_server(answer_once) as peer:
        done = netduet.run("hello", peer.target)
        assert peer.received == HELLO
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")
    [line] = done.stderr.splitlines()
    assert re.fullmatch(rf"14 bytes from {peer.target} in \d+\.\d ms", line)


def test_answer_of_a_server_that_never_closes_is_printed(
    netduet: NetduetCommand,
) -> None:
    """An answer counts although the connection stays open."""
    with foreign_server(answer_and_stay(GREETING)) as peer:
        done = netduet.run("hello", SOON, peer.target)
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")


def test_answer_in_pieces_is_joined(netduet: NetduetCommand) -> None:
    """All pieces up to the end of the stream are one answer."""

    def behave(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(GREETING)):
            sock.sendall(GREETING[number : number + 1])
        close_normally(sock)

    with foreign_server(behave) as peer:
        done = netduet.run("hello", peer.target)
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")


def test_netduet_server_answers_and_logs_the_greeting(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """Our own server answers, and logs the text."""
    server = serve_command(greeting="Guten Tag!")
    done = netduet.run("hello", "--greeting", "Hallo?", f"127.0.0.1:{server.port}")
    assert (done.returncode, done.stdout) == (0, "Guten Tag!\n")
    assert server.closed_line()["netduet.text"] == "Hallo?"


def test_ipv6_server_answers(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """An IPv6 address is typed and shown in brackets."""
    port = serve_command(host="::1").port
    done = netduet.run("hello", "-6", f"[::1]:{port}")
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")
    assert f" from [::1]:{port} in " in done.stderr


def test_korean_text_round_trip(netduet: NetduetCommand) -> None:
    """Text is UTF-8 both ways, and is shown unchanged."""
    greeting, answer = "안녕, 서버!", "안녕, 클라이언트!"
    with foreign_server(answer_and_close(answer.encode())) as peer:
        done = netduet.run("hello", "--greeting", greeting, peer.target)
        assert peer.received == greeting.encode()
    assert (done.returncode, done.stdout) == (0, f"{answer}\n")


def test_answer_is_escaped(netduet: NetduetCommand) -> None:
    """No answer can move the cursor, forge a line, or change the text direction."""
    answer = b"a\x1b[2J\x07\r\nPASS\xff\\ " + "\u202eb".encode()
    with foreign_server(answer_and_close(answer)) as peer:
        done = netduet.run("hello", peer.target)
    assert done.returncode == 0
    assert done.stdout == r"a\x1b[2J\x07\r\nPASS\xff\\ \u202eb" + "\n"


def test_long_answer_is_truncated(netduet: NetduetCommand) -> None:
    """A long answer ends in an ellipsis; all bytes are counted."""
    with foreign_server(answer_and_close(b"x" * 10_000)) as peer:
        done = netduet.run("hello", peer.target)
    assert (done.returncode, done.stdout) == (0, "x" * 4096 + "…\n")
    assert done.stderr.startswith("10000 bytes from ")


# Whoever does not


@pytest.mark.parametrize(
    ("behave", "ended"),
    [
        (stay_silent, "no response within 0.5 s; the connection is still open"),
        (close_normally, "closed without a response"),
        (close_by_reset, "ECONNRESET: "),
    ],
)
def test_missing_answer_is_a_one_line_error(
    netduet: NetduetCommand, behave: Behaviour, ended: str
) -> None:
    """A server that closes without an answer gives status 1 and one line."""
    with foreign_server(behave) as peer:
        line = complaint(netduet, SOON, peer.target)
    assert f"{peer.target}: connected, then: {ended}" in line


def test_closed_port_is_a_one_line_error(netduet: NetduetCommand) -> None:
    """Status 1, and the line names the port."""
    with closed_port() as target:
        line = complaint(netduet, target)
    assert f"{target}: ECONNREFUSED" in line


def test_unknown_name_is_a_one_line_error(netduet: NetduetCommand) -> None:
    """Status 1, and the line has the name."""
    assert "nonexistent.invalid: " in complaint(netduet, "nonexistent.invalid")
