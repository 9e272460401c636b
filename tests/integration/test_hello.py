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


def test_plainest_server_is_heard(netduet: Netduet) -> None:
    """The answer alone is on stdout; what was said has no terminator."""
    with stranger(once) as peer:
        done = netduet.run("hello", peer.target)
        assert peer.heard == HELLO
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")
    [line] = done.stderr.splitlines()
    assert re.fullmatch(rf"14 bytes from {peer.target} in \d+\.\d ms", line)


def test_server_that_never_closes_is_heard_too(netduet: Netduet) -> None:
    """An answer is an answer, though the connection stays open."""
    with stranger(lingering(GREETING)) as peer:
        done = netduet.run("hello", SOON, peer.target)
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")


def test_answer_in_pieces_is_whole(netduet: Netduet) -> None:
    """What comes is put together until the end of the stream."""

    def manner(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(GREETING)):
            sock.sendall(GREETING[number : number + 1])
        closing(sock)

    with stranger(manner) as peer:
        done = netduet.run("hello", peer.target)
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")


def test_real_server_is_heard(serve_command: ServeCommand, netduet: Netduet) -> None:
    """Our own server answers, and has what was said in its log."""
    server = serve_command(greeting="Guten Tag!")
    done = netduet.run("hello", "--greeting", "Hallo?", f"127.0.0.1:{server.port}")
    assert (done.returncode, done.stdout) == (0, "Guten Tag!\n")
    assert server.closed()["netduet.text"] == "Hallo?"


def test_ipv6_server_is_heard(serve_command: ServeCommand, netduet: Netduet) -> None:
    """An address in brackets is an IPv6 one; the line that counts shows it so."""
    port = serve_command(host="::1").port
    done = netduet.run("hello", "-6", f"[::1]:{port}")
    assert (done.returncode, done.stdout) == (0, "Hello, client!\n")
    assert f" from [::1]:{port} in " in done.stderr


def test_korean_goes_there_and_back(netduet: Netduet) -> None:
    """Text is UTF-8 both ways, and is shown as it is."""
    said, answer = "안녕, 서버!", "안녕, 클라이언트!"
    with stranger(saying(answer.encode())) as peer:
        done = netduet.run("hello", "--greeting", said, peer.target)
        assert peer.heard == said.encode()
    assert (done.returncode, done.stdout) == (0, f"{answer}\n")


def test_answer_is_escaped(netduet: Netduet) -> None:
    """No answer moves a cursor, forges a line, or turns the text around."""
    answer = b"a\x1b[2J\x07\r\nPASS\xff\\ " + "\u202eb".encode()
    with stranger(saying(answer)) as peer:
        done = netduet.run("hello", peer.target)
    assert done.returncode == 0
    assert done.stdout == r"a\x1b[2J\x07\r\nPASS\xff\\ \u202eb" + "\n"


def test_long_answer_is_cut(netduet: Netduet) -> None:
    """What is too long to show ends in an ellipsis; all that was read is counted."""
    with stranger(saying(b"x" * 10_000)) as peer:
        done = netduet.run("hello", peer.target)
    assert (done.returncode, done.stdout) == (0, "x" * 4096 + "…\n")
    assert done.stderr.startswith("10000 bytes from ")


# Whoever does not


@pytest.mark.parametrize(
    ("manner", "ended"),
    [
        (silent, "no answer within 0.5 s; the connection is still open"),
        (closing, "closed without an answer"),
        (resetting, "ECONNRESET: "),
    ],
)
def test_no_answer_says_what_came_instead(
    netduet: Netduet, manner: Manner, ended: str
) -> None:
    """A server that takes the greeting and says nothing gives status 1 and one line."""
    with stranger(manner) as peer:
        line = complaint(netduet, SOON, peer.target)
    assert f"{peer.target}: connected, then: {ended}" in line


def test_nothing_that_listens_is_refused(netduet: Netduet) -> None:
    """A port on which nothing listens gives status 1 and one line that names it."""
    with nobody() as target:
        line = complaint(netduet, target)
    assert f"{target}: ECONNREFUSED" in line


def test_name_that_does_not_exist_is_told(netduet: Netduet) -> None:
    """A name that does not resolve gives status 1 and one line that names it."""
    assert "nonexistent.invalid: " in complaint(netduet, "nonexistent.invalid")
