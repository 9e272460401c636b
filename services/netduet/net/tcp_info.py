"""The kernel's view of a TCP connection (tcp(7), TCP_INFO)."""

from __future__ import annotations

import socket
import struct
from typing import Final

from netduet.net.kernel import read_option
from netduet.wire.messages import TcpInfo

# include/net/tcp_states.h
_TCP_STATES: Final = (
    "UNKNOWN",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
)

# struct tcp_info, include/uapi/linux/tcp.h: 8 bytes of small fields, 24 u32,
# then u64 and u32 fields that the kernel appended over the years.
_TCP_INFO: Final = struct.Struct("=8B24I4Q6I4Q2I2Q")
_TCP_INFO_FIELDS: Final = {
    "snd_mss": 10,
    "rcv_mss": 11,
    "unacked": 12,
    "lost": 14,
    "retrans": 15,
    "pmtu": 21,
    "rtt": 23,
    "rttvar": 24,
    "advmss": 27,
    "total_retrans": 31,
    "bytes_acked": 34,
    "bytes_received": 35,
    "notsent_bytes": 38,
    "min_rtt": 39,
    "delivery_rate": 42,
    "busy_time": 43,
    "rwnd_limited": 44,
    "sndbuf_limited": 45,
    "bytes_retrans": 49,
}


def tcp_info(descriptor: int) -> TcpInfo | None:
    """Return the kernel's view; None when the descriptor is not a TCP socket."""
    size = _TCP_INFO.size
    data = read_option(descriptor, socket.IPPROTO_TCP, socket.TCP_INFO, size)
    if data is None:
        return None
    values = _TCP_INFO.unpack(data.ljust(size, b"\0"))
    number = values[0]
    state = _TCP_STATES[number] if number < len(_TCP_STATES) else str(number)
    counters = {name: values[index] for name, index in _TCP_INFO_FIELDS.items()}
    return TcpInfo.model_construct(state=state, **counters)


def bytes_acked(descriptor: int) -> int:
    """Return how many bytes the peer has acknowledged; 0 when unknown."""
    info = tcp_info(descriptor)
    return 0 if info is None else info.bytes_acked


def accept_queue(descriptor: int) -> int | None:
    """Return the length of a listening socket's accept queue.

    It is ``tcpi_unacked`` of a listener (net/ipv4/tcp.c, tcp_get_info).
    """
    info = tcp_info(descriptor)
    return None if info is None or info.state != "LISTEN" else info.unacked
