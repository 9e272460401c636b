"""SIGTERM to a busy server loses nothing that it accepted."""

from __future__ import annotations

import json

from tests.containers.sandbox import PORT, Sandbox, engine_handle, wait_for_output

# Eight plain clients without pause until the server is gone: a connect that is
# refused, or whose name is gone, ends one; an accepted connection without its
# answer is counted as lost.
STORM = f"""
import json, socket, threading, time
end = time.monotonic() + 20
while True:
    try:
        address = socket.gethostbyname("server")
        break
    except OSError:  # the engine's DNS may be a moment late
        if time.monotonic() > end:
            raise
        time.sleep(0.1)
answered, lost, started = [0] * 8, [], threading.Barrier(9)
def run(mine):
    started.wait(30)
    while True:
        try:
            sock = socket.create_connection((address, {PORT}), 5)
        except OSError:
            return
        with sock:
            try:
                sock.sendall(b"Hello, server!")
                answer = sock.recv(1024)
            except OSError as error:
                lost.append(repr(error))
                return
        if answer != b"Hello, client!":
            lost.append(repr(answer))
            return
        answered[mine] += 1
threads = [threading.Thread(target=run, args=(mine,)) for mine in range(8)]
for thread in threads:
    thread.start()
started.wait(30)
print("storm", flush=True)
for thread in threads:
    thread.join()
print(json.dumps({{"answered": sum(answered), "lost": lost}}), flush=True)
"""


def test_sigterm_under_load_loses_no_accepted_client(sandbox: Sandbox) -> None:
    """The server exits with 0 within the grace period."""
    network = sandbox.network()
    server = sandbox.server(network, env={"NETDUET_SERVER_LOG_LEVEL": "debug"})
    storm = sandbox.python(network, STORM)
    wait_for_output(storm, "storm")
    # The storm is at full strength once the server has answered some hundreds.
    while server.get_logs()[0].count(b"connection.closed") < 500:
        pass
    engine_handle(server).stop(timeout=10)
    state = engine_handle(server).wait()
    assert state["StatusCode"] == 0
    assert storm.wait() == 0
    counted = json.loads(storm.get_logs()[0].splitlines()[-1])
    stopped = json.loads(server.get_logs()[0].splitlines()[-1])
    assert stopped["event"] == "server.stopped"
    assert counted["answered"] >= 500
    assert counted["lost"] == [], stopped
