"""Drops segments by their content, as an inspecting firewall does: a socket's own filter.

The kernel applies a filter to the segments of a TCP socket before it acknowledges them
(socket(7), SO_ATTACH_FILTER), and accepted sockets inherit that of the listener. The
program is classic BPF; a segment begins with its TCP header.
"""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26
_PASS = 0xFFFFFFFF
_DROP = 0

_Instruction = tuple[int, int, int, int]


def attach_filter(listener: socket.socket, offset: int, mask: int, value: int) -> None:
    """Drop segments whose four bytes at an offset of their data have a value."""
    program: tuple[_Instruction, ...] = (
        (0x30, 0, 0, 12),  # ldb [12]: the data offset
        (0x54, 0, 0, 0xF0),  # and #0xf0
        (0x74, 0, 0, 2),  # rsh #2: bytes of the header
        (0x07, 0, 0, 0),  # tax
        (0x80, 0, 0, 0),  # ld len
        (0x1C, 0, 0, 0),  # sub x: bytes of data
        (0x35, 0, 3, offset + 4),  # jge: else pass
        (0x40, 0, 0, offset),  # ld [x + offset]
        (0x54, 0, 0, mask),  # and
        (0x15, 1, 0, value),  # jeq: drop
        (0x06, 0, 0, _PASS),  # ret
        (0x06, 0, 0, _DROP),
    )
    _attach(listener, program)


def cut_off(sock: socket.socket) -> None:
    """Drop all that comes, so that this end neither acknowledges nor hears anything."""
    _attach(sock, ((0x06, 0, 0, _DROP),))


def _attach(sock: socket.socket, program: tuple[_Instruction, ...]) -> None:
    code = b"".join(struct.pack("HBBI", *each) for each in program)
    kept = ctypes.create_string_buffer(code)
    header = struct.pack("HP", len(program), ctypes.addressof(kept))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
