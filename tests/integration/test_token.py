"""A server that demands a token, and clients with the right, another, or none."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest

from netduet.server.healthcheck import check as health_check
from netduet.wire import token as shared_token
from netduet.wire.frames import Kind
from tests.integration.conftest import ServeCommand
from tests.integration.framed_client import FramedClient
from tests.integration.servers import NetduetCommand

TOKEN = "a canary that no output shows"
OTHER = "another token than the server's"


def root(stdout: str) -> str:
    """Return the class of the root finding."""
    [target] = json.loads(stdout)["targets"]
    return str(target["root"]["class"])


def check(
    netduet: NetduetCommand, port: int, token: str, *words: str
) -> subprocess.CompletedProcess[str]:
    """Check a server on loopback, with this token, "" for none."""
    environment = {"NETDUET_CLIENT_TOKEN": token}
    return netduet.run("check", *words, f"127.0.0.1:{port}", env=environment)


def test_client_with_the_token_is_answered(
    netduet: NetduetCommand, serve_command: ServeCommand
) -> None:
    """All checks prove it, also those that connect by themselves."""
    server = serve_command(token=TOKEN)
    done = check(netduet, server.port, TOKEN, "--checks=path,size,close,churn,load")
    assert done.returncode == 0, done.stdout
    assert TOKEN not in done.stdout + done.stderr
    server.close()
    assert TOKEN.encode() not in b"".join(server.raw)


@pytest.mark.parametrize("token", ["", OTHER])
def test_client_without_the_token_is_not_answered(
    netduet: NetduetCommand, serve_command: ServeCommand, token: str
) -> None:
    """The verdict says why, and shows neither token."""
    server = serve_command(token=TOKEN)
    done = check(netduet, server.port, token, "--json")
    assert done.returncode == 1
    assert root(done.stdout) == "identity.unauthorized"
    server.close()
    shown = done.stdout + done.stderr + b"".join(server.raw).decode()
    assert TOKEN not in shown
    assert OTHER not in shown


def test_token_is_no_obstacle_where_none_is_demanded(
    netduet: NetduetCommand, serve_command: ServeCommand
) -> None:
    """Clients may have it before servers demand it."""
    server = serve_command()
    done = check(netduet, server.port, TOKEN, "--checks=path")
    assert done.returncode == 0, done.stdout


def test_greeting_and_health_check_need_no_token(serve_command: ServeCommand) -> None:
    """They tell nothing."""
    server = serve_command(token=TOKEN)
    assert health_check("127.0.0.1", server.port) is None
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(b"Hello, server!")
        assert sock.recv(64) == b"Hello, client!"


def test_question_without_proof_is_refused_before_it_is_answered(
    serve_command: ServeCommand,
) -> None:
    """What was asked is not done; the reason is in the server's log."""
    server = serve_command(token=TOKEN)
    with FramedClient(server.port) as client:
        client.send(Kind.ECHO, b"hi")
        assert client.error()["code"] == "unauthorized"


def test_proof_of_another_connection_is_refused(serve_command: ServeCommand) -> None:
    """Whoever overheard it gains nothing."""
    server = serve_command(token=TOKEN)
    with FramedClient(server.port) as first, FramedClient(server.port) as second:
        conn_id, nonce = (first.welcome[name] for name in ("conn_id", "nonce"))
        proof = shared_token.prove(TOKEN.encode(), conn_id, nonce)
        message = json.dumps({"proof": proof}).encode()
        second.send(Kind.TOKEN, message)
        assert second.error()["code"] == "unauthorized"
        first.send(Kind.TOKEN, message)
        assert first.message(Kind.TOKEN) == {}
