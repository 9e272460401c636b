"""The kernel's view of a TCP connection (tcp(7), TCP_INFO)."""

from __future__ import annotations

import socket
import struct
import sys
from enum import IntFlag
from pathlib import Path
from typing import Any, Final

from netduet.net.kernel import read_option
from netduet.wire.messages import TcpInfo, TcpSettings

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
_TCP_INFO: Final = struct.Struct("=8B24I4Q6I4Q2I2Q5I")
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
_LATER_FIELDS: Final = {
    "data_segs_out": (41, 172),
    "dsack_dups": (50, 212),
    "snd_wnd": (53, 224),
    "rcv_wnd": (54, 228),
}
"""Fields that older kernels do not report: index, and offset in bytes."""

_OPTIONS_INDEX: Final = 5
"""Index of tcpi_options among the small fields."""

_SCALES_INDEX: Final = 6
"""Index of the byte with both window scales."""

_LOW_HALF: Final = 0x0F
"""Mask of the lower four bits."""


class TcpOption(IntFlag):
    """What both ends agreed on in the handshake (TCPI_OPT_*, linux/tcp.h)."""

    TIMESTAMPS = 1
    SACK = 2
    WINDOW_SCALE = 4
    ECN = 8
    ECN_SEEN = 16
    """A packet marked as ECN-capable has arrived."""
    SYN_DATA = 32
    """Data in the SYN was acknowledged (TCP Fast Open)."""


_FAST_OPEN_INDEX: Final = 7
"""Byte of TCP_INFO that has tcpi_fastopen_client_fail."""
_FAST_OPEN_MASK: Final = 0b11
_COOKIE_UNAVAILABLE: Final = 1
"""TFO_COOKIE_UNAVAILABLE of enum tcp_fastopen_client_fail."""


def tcp_info(descriptor: int) -> TcpInfo | None:
    """Return the kernel's view; None when the descriptor is not a TCP socket."""
    size = _TCP_INFO.size
    data = read_option(descriptor, socket.IPPROTO_TCP, socket.TCP_INFO, size)
    if data is None:
        return None
    values = _TCP_INFO.unpack(data.ljust(size, b"\0"))
    number = values[0]
    state = _TCP_STATES[number] if number < len(_TCP_STATES) else str(number)
    counters: dict[str, Any] = {
        name: values[index] for name, index in _TCP_INFO_FIELDS.items()
    }
    counters |= {
        name: values[index] if len(data) >= offset + 4 else None
        for name, (index, offset) in _LATER_FIELDS.items()
    }
    send_scale, receive_scale = window_scales(values[_SCALES_INDEX])
    return TcpInfo.model_construct(
        state=state,
        **counters,
        options=values[_OPTIONS_INDEX],
        snd_wscale=send_scale,
        rcv_wscale=receive_scale,
    )


def window_scales(both: int) -> tuple[int, int]:
    """Return the scale of the peer's windows and of our own: two bit fields."""
    low, high = both & _LOW_HALF, both >> 4
    return (low, high) if sys.byteorder == "little" else (high, low)


def tcp_settings() -> TcpSettings:
    """Return what this network namespace offers in handshakes (ip-sysctl.rst)."""
    return TcpSettings(
        window_scaling=_setting("tcp_window_scaling"),
        sack=_setting("tcp_sack"),
        timestamps=_setting("tcp_timestamps"),
        ecn=_setting("tcp_ecn"),
    )


def fast_open_setting() -> int:
    """Return net.ipv4.tcp_fastopen (ip-sysctl.rst), 0 if unknown."""
    return _setting("tcp_fastopen") or 0


def asked_for_cookie(descriptor: int) -> bool:
    """Return whether the SYN of a connection asked for a TCP Fast Open cookie.

    The kernel then notes that it had none: TFO_COOKIE_UNAVAILABLE in the bit field
    tcpi_fastopen_client_fail (include/uapi/linux/tcp.h, since Linux 5.5).
    """
    data = read_option(descriptor, socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    if data is None or len(data) <= _FAST_OPEN_INDEX:
        return False
    field = data[_FAST_OPEN_INDEX]
    # Behind tcpi_delivery_rate_app_limited, a single bit.
    fail = field >> 1 if sys.byteorder == "little" else field >> 5
    return fail & _FAST_OPEN_MASK == _COOKIE_UNAVAILABLE


def _setting(name: str) -> int | None:
    try:
        return int(Path("/proc/sys/net/ipv4", name).read_text())
    except (OSError, ValueError):
        return None  # absent in some sandboxes


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
