"""Commands of the host that makes the namespaces: ip, sysctl, iptables."""

from __future__ import annotations

import asyncio
import subprocess
from typing import Final

_NOBODY: Final = "65534"
_TIMEOUT_SECONDS: Final = 20


def inside(namespace: str, *words: str) -> list[str]:
    """Return a command line that runs in a namespace as root."""
    return ["ip", "netns", "exec", namespace, *words]


def inside_unprivileged(namespace: str, *words: str) -> list[str]:
    """Return a command line that runs there as an ordinary user, under its own id."""
    user = ["--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups"]
    bare = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    return inside(namespace, "setpriv", *user, *bare, *words)


def run(command: list[str], script: str = "", *, check: bool = True) -> None:
    """Run a command to its end; raise ``RuntimeError`` with what it printed."""
    done = subprocess.run(
        command,
        input=script,
        text=True,
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}\n{script}")


async def ip(namespace: str, *lines: str) -> None:
    """Run lines of ``ip -batch`` in a namespace, or where this runs for ""."""
    where = ["-n", namespace] if namespace else []
    script = "".join(f"{line}\n" for line in lines)
    await asyncio.to_thread(run, ["ip", *where, "-batch", "-"], script)


async def sysctl(namespace: str, *settings: str) -> None:
    """Change settings of a namespace."""
    await asyncio.to_thread(run, inside(namespace, "sysctl", "-qw", *settings))


async def iptables(namespace: str, table: str, *rules: str) -> None:
    """Add rules at once; a chain that is declared (``:NAME - [0:0]``) is emptied first."""
    script = "\n".join((f"*{table}", *rules, "COMMIT\n"))
    command = inside(namespace, "iptables-restore", "--noflush", "--wait", "5")
    await asyncio.to_thread(run, command, script)


async def forget_datagram_flows(namespace: str, virtual: str, endpoint: str) -> None:
    """Delete the UDP entries of conntrack that lead from a virtual address to an endpoint."""
    entry = ["-p", "udp", "--orig-dst", virtual, "--reply-src", endpoint]
    command = inside(namespace, "conntrack", "-D", *entry)
    # It fails when there is none.
    await asyncio.to_thread(run, command, check=False)
