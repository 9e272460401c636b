"""The plain dialect between containers, with minimal scripts."""

from __future__ import annotations

from tests.containers.sandbox import PORT, Sandbox, wait_for_output

# The plainest client there is, once and again.
PLAINEST = f"""
import socket
def hello():
    with socket.create_connection(("server", {PORT}), 10) as sock:
        sock.sendall(b"Hello, server!")
        return sock.recv(1024)
"""
IN_A_ROW = f"""{PLAINEST}
print(sum(hello() == b"Hello, client!" for _ in range(1000)))
"""
AT_ONCE = f"""{PLAINEST}
from concurrent.futures import ThreadPoolExecutor
import threading
barrier = threading.Barrier(200)
def one(_):
    barrier.wait(30)
    return hello()
with ThreadPoolExecutor(200) as pool:
    print(list(pool.map(one, range(200))).count(b"Hello, client!"))
"""

# The plainest server: it reads once, answers, closes.
ONE_SHOT = f"""
import socket
listener = socket.create_server(("", {PORT}))
print("listening", flush=True)
sock, _ = listener.accept()
print(sock.recv(1024).decode(), flush=True)
sock.sendall(b"Hello, client!")
sock.close()
"""

# Starts the server with a log pipe that nobody reads.
READER_STOPPED = """
import os, subprocess, sys
reader, writer = os.pipe()
sys.exit(subprocess.run(["netduet", "serve"], stdout=writer).returncode)
"""


def test_plain_client_is_answered_a_thousand_times(sandbox: Sandbox) -> None:
    """A plain socket client in a third container gets each of 1,000 answers."""
    network = sandbox.network()
    sandbox.server(network)
    third = sandbox.python(network, IN_A_ROW)
    assert third.wait() == 0, third.get_logs()
    assert third.get_logs()[0] == b"1000\n"


def test_simultaneous_plain_clients_are_all_answered(sandbox: Sandbox) -> None:
    """Two hundred plain clients connect at the same time."""
    network = sandbox.network()
    sandbox.server(network)
    third = sandbox.python(network, AT_ONCE)
    assert third.wait() == 0, third.get_logs()
    assert third.get_logs()[0] == b"200\n"


def test_hello_works_with_a_plain_server(sandbox: Sandbox) -> None:
    """``netduet hello`` exchanges greetings with a one-shot server."""
    network = sandbox.network()
    plain = sandbox.python(network, ONE_SHOT, alias="server")
    wait_for_output(plain, "listening")
    result = sandbox.client(network, "hello", "server")
    assert result.status == 0, result.err
    assert "Hello, client!" in result.out
    assert plain.wait() == 0
    assert plain.get_logs()[0] == b"listening\nHello, server!\n"


def test_full_log_pipe_does_not_affect_service(sandbox: Sandbox) -> None:
    """With a full log pipe and no reader, peers are answered as usual."""
    network = sandbox.network()
    sandbox.server(network, entrypoint=["python3", "-c", READER_STOPPED], init=True)
    third = sandbox.python(network, IN_A_ROW)
    assert third.wait() == 0, third.get_logs()
    assert third.get_logs()[0] == b"1000\n"
