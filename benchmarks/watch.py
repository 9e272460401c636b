"""What ``netduet watch`` costs by the number of its peers: CPU, memory, connections.

Peers are addresses of loopback (127.1.0.1 and on) at which one server answers, in a
network namespace of its own: run it as root, or where unprivileged users may make one.

    python benchmarks/watch.py [--peers 5,50,500] [--seconds 20] [--interval 200ms]
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

PORT: Final = 12_345
WARM: Final = 12.0
"""Seconds from the start to the first look: names, modules, first connections."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MIB: Final = 1024 * 1024


def main() -> int:
    """Go into a namespace; there, measure each number of peers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", default="5,50,500")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--interval", default="200ms")
    parser.add_argument("--inside", action="store_true")
    asked = parser.parse_args()
    if not asked.inside:
        me = [sys.executable, __file__, "--inside", *sys.argv[1:]]
        flags = ["-n"] if os.geteuid() == 0 else ["-r", "-n"]
        return subprocess.run(["unshare", *flags, *me], check=False).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print(
        "peers    CPU (client)   CPU (server)   memory   TCP   UDP   outages",
        flush=True,
    )
    for count in map(int, asked.peers.split(",")):
        measure(count, asked.seconds, asked.interval)
    return 0


def measure(count: int, seconds: float, interval: str) -> None:
    """Watch so many peers; print what it costs."""
    environment = {
        "PATH": os.environ["PATH"],
        "NETDUET_SERVER_LOG_LEVEL": "error",
        "NETDUET_SERVER_MAX_STREAMS": "1000",
        "NETDUET_SERVER_MAX_STREAMS_PER_CLIENT": "1000",
        "NETDUET_SERVER_HOST": "0.0.0.0",
    }
    command = [sys.executable, "-m", "netduet"]
    targets = [f"127.1.{n // 250}.{n % 250 + 1}:{PORT}" for n in range(count)]
    flags = ["--watch-interval", interval, "--watch-checks-interval", "5m"]
    with tempfile.TemporaryFile() as said:
        server = subprocess.Popen([*command, "serve"], env=environment, stdout=said)
        client = None
        try:
            time.sleep(2)
            client = subprocess.Popen(
                [*command, "watch", *flags, *targets],
                env=environment,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
            time.sleep(WARM)
            before = cpu(client.pid), cpu(server.pid), time.monotonic()
            time.sleep(seconds)
            after = cpu(client.pid), cpu(server.pid), time.monotonic()
            length = after[2] - before[2]
            ours, theirs = ((after[n] - before[n]) / length for n in (0, 1))
            memory, sockets = resident(client.pid), counted()
        finally:
            for process in (client, server):
                if process is not None:
                    process.send_signal(signal.SIGTERM)
                    process.wait(30)
        said.seek(0)
        text = said.read().decode()
        outages = re.findall(r"availability .*", text)
        print(
            f"{count:5} {ours:12.1%}   {theirs:12.1%}   {memory / _MIB:4.0f} MiB  "
            f"{sockets[0]:4}  {sockets[1]:4}   {'; '.join(outages) or text[-200:]}",
            flush=True,
        )


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def counted() -> tuple[int, int]:
    """Return how many TCP connections and UDP sockets the client has here.

    Connections that are established have two ends in this namespace; of the sockets
    the server has one.
    """
    text = Path("/proc/net/sockstat").read_text()
    tcp = int(re.search(r"TCP: inuse (\d+)", text)[1])  # type: ignore[index]
    udp = int(re.search(r"UDP: inuse (\d+)", text)[1])  # type: ignore[index]
    return tcp // 2, udp - 1


if __name__ == "__main__":
    sys.exit(main())
