"""Rates of the check ``load`` beside those of a bare socket pump, on loopback.

Each round asks both, so that a noisy machine is noisy to both: the check against
``netduet serve``, and a thread that sends to one that reads, over as many
connections, for as long. Prints the medians, and how much of the pump's rate the
check reaches.

    python benchmarks/throughput.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import secrets
import socket
import statistics
import subprocess
import sys
import threading
import time
from typing import Any, Final

SECONDS: Final = 0.5
CONNECTIONS: Final = 2
PIECE: Final = 256 * 1024
_PATIENCE: Final = 30.0

Report = dict[str, Any]


def pump() -> float:
    """Return bits a second that plain sockets carry one way."""
    carried = [0] * CONNECTIONS
    over = threading.Event()
    payload = secrets.token_bytes(PIECE)

    def send(sock: socket.socket) -> None:
        with sock:
            while not over.is_set():
                sock.sendall(payload)

    def take(number: int, sock: socket.socket) -> None:
        with sock:
            while data := sock.recv(PIECE):
                carried[number] += len(data)

    threads = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for number in range(CONNECTIONS):
            sender = socket.create_connection(listener.getsockname(), _PATIENCE)
            taker, _ = listener.accept()
            threads += [
                threading.Thread(target=send, args=(sender,)),
                threading.Thread(target=take, args=(number, taker)),
            ]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    over.wait(SECONDS)
    over.set()
    for thread in threads:
        thread.join(_PATIENCE)
    return 8 * sum(carried) / (time.monotonic() - start)


def check(port: int) -> dict[str, float]:
    """Return what the check ``load`` says of each way, in bits a second."""
    command = [sys.executable, "-m", "netduet", "check", "--json", "--checks", "load"]
    done = subprocess.run(
        [*command, f"127.0.0.1:{port}"],
        capture_output=True,
        timeout=_PATIENCE,
        check=False,
    )
    report: Report = json.loads(done.stdout)
    figures = report["targets"][0]["checks"][-1]["figures"]
    return {way: float(figures[f"{way}.bit_s"] or 0) for way in ("up", "down")}


def main() -> None:
    """Measure by turns; print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = [sys.executable, "-m", "netduet", "serve", "--host", "127.0.0.1"]
    server = subprocess.Popen(
        [*serve, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    found: dict[str, list[float]] = {"pump": [], "up": [], "down": []}
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if b'"server.ready"' in line:
                break
        for _ in range(rounds):
            found["pump"].append(pump())
            for way, rate in check(port).items():
                found[way].append(rate)
    finally:
        server.terminate()
        server.wait(_PATIENCE)
    bare = statistics.median(found["pump"])
    for name, rates in found.items():
        middle = statistics.median(rates)
        print(f"{name:5} {middle / 1e9:6.2f} Gbit/s  {middle / bare:6.1%} of the pump")


if __name__ == "__main__":
    main()
