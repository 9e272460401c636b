"""Faults of the network, in the namespace of the trial."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
from collections.abc import Iterator
from typing import Final

_DELETE_CONNTRACK: Final = 1 << 8 | 2
"""NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE (linux/netfilter/nfnetlink_conntrack.h)."""

_REQUEST_AND_ACK: Final = 0x1 | 0x4


@contextlib.contextmanager
def rule(*words: str, chain: str = "INPUT") -> Iterator[None]:
    """Have a rule of iptables in force."""
    _iptables("-A", chain, *words)
    try:
        yield
    finally:
        _iptables("-D", chain, *words)


@contextlib.contextmanager
def silence(network: str) -> Iterator[None]:
    """Drop all packets from and to a network, as a pulled plug does."""
    with rule("-s", network, "-j", "DROP"), rule("-d", network, "-j", "DROP"):
        yield


@contextlib.contextmanager
def loss(percent: float) -> Iterator[None]:
    """Lose a share of all packets from and to the server's port."""
    chance = ("-m", "statistic", "--mode", "random", "--probability")
    with contextlib.ExitStack() as stack:
        for end in ("--dport", "--sport"):
            for protocol in ("tcp", "udp"):
                words = ("-p", protocol, end, "12345", *chance, f"{percent / 100}")
                stack.enter_context(rule(*words, "-j", "DROP"))
        yield


def flush_conntrack() -> None:
    """Forget all connections that connection tracking knows of, as ``conntrack -F``."""
    header = struct.Struct("=IHHII")
    payload = struct.pack("=BBH", socket.AF_INET, 0, 0)
    size = header.size + len(payload)
    message = header.pack(size, _DELETE_CONNTRACK, _REQUEST_AND_ACK, 1, 0) + payload
    netlink = 12  # NETLINK_NETFILTER
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink) as sock:
        sock.send(message)
        answer = sock.recv(4096)
    (error,) = struct.unpack_from("=i", answer, header.size)
    if error:
        raise OSError(-error, "flushing connection tracking")


def _iptables(*words: str) -> None:
    subprocess.run(["iptables", "-w", *words], check=True, capture_output=True)
