"""A router in user space on a TUN device, for what this kernel cannot do.

Delay, jitter, loss, reordering, duplication, a byte of a TCP payload changed and
its checksum mended. One process a network; it ends with its input.

    python -m tests.lab.tunrouter '{"delay": 0.05}' '{"delay": 0.05}'    (up, down)
"""

from __future__ import annotations

import dataclasses
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DEVICE: Final = "tun0"
READY: Final = "ready"

_SET_INTERFACE: Final = 0x400454CA
_TUN_WITHOUT_INFORMATION: Final = 0x1001
_LONGEST: Final = 65535
_AT_ONCE: Final = 64
_TCP, _UDP = 6, 17
_CLIENT4: Final = bytes((198, 18, 1))
_CLIENT6: Final = bytes.fromhex("20010db80001")
_FIRST: Final = bytes((198, 18, 2, 2))
_SECOND: Final = bytes((198, 18, 2, 3))
_IP_CHECKSUM, _SOURCE, _DESTINATION = 10, 12, 16
_FRAGMENT_OFFSET: Final = 0x1FFF


@dataclass(frozen=True, slots=True)
class Impairments:
    """What befalls packets one way. Times in seconds, the others are shares.

    ``protocol`` (tcp or udp) confines all but delay and jitter to its packets.
    ``held`` packets are overtaken by those of the next ``hold`` seconds.
    ``changed`` are TCP segments of at least ``changed_from`` bytes of payload.
    ``wrong_checksum`` is the share of packets whose checksum is made wrong; only that of
    the first ``wrong_checksum_syns`` sendings of each SYN.
    In each ``out_every`` seconds nothing passes for ``out`` seconds.
    The first and the second server have the first one's address by turns of ``turn``
    seconds; so must it be both ways.
    """

    delay: float = 0.0
    jitter: float = 0.0
    lost: float = 0.0
    duplicated: float = 0.0
    held: float = 0.0
    hold: float = 0.02
    changed: float = 0.0
    changed_from: int = 1000
    wrong_checksum: float = 0.0
    wrong_checksum_syns: int = 0
    protocol: str = ""
    out: float = 0.0
    out_every: float = 1.0
    turn: float = 0.0


class Queue:
    """Packets on their way, the next due first."""

    def __init__(self, seed: int) -> None:
        """Begin; the same seed meets the same packets with the same weather."""
        self._random = random.Random(seed)
        self._heap: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._last = 0.0
        self._syns: dict[bytes, int] = {}

    def take(self, packet: bytes, impairments: Impairments, now: float) -> None:
        """Decide what becomes of a packet."""
        chance = self._random.random
        protocol, start = _transport(packet)
        number = {"tcp": _TCP, "udp": _UDP}.get(impairments.protocol, protocol)
        applies = protocol == number
        if applies and chance() < impairments.lost:
            return
        if now % impairments.out_every < impairments.out:
            return
        if impairments.turn:
            packet = _by_turns(packet, protocol, start, int(now / impairments.turn))
        if applies and chance() < impairments.wrong_checksum:
            packet = with_wrong_checksum(packet, protocol, start)
        if self._is_early_syn(packet, protocol, start, impairments.wrong_checksum_syns):
            packet = with_wrong_checksum(packet, protocol, start)
        if protocol == _TCP and chance() < impairments.changed:
            packet = changed(packet, start, impairments.changed_from)
        due = now + impairments.delay + impairments.jitter * chance()
        if applies and chance() < impairments.held:
            self._put(due + impairments.hold, packet)
            return
        # Jitter alone never lets one packet overtake another.
        due = self._last = max(due, self._last)
        self._put(due, packet)
        if applies and chance() < impairments.duplicated:
            self._put(due, packet)

    def _is_early_syn(
        self, packet: bytes, protocol: int, start: int, sendings: int
    ) -> bool:
        """Tell whether a packet is one of the first sendings of a SYN."""
        if not sendings or protocol != _TCP or packet[start + 13] & 0x12 != 0x02:
            return False
        ports = packet[start : start + 4]
        self._syns[ports] = self._syns.get(ports, 0) + 1
        return self._syns[ports] <= sendings

    def due(self, now: float) -> bytes | None:
        """Return the next packet whose time has come."""
        if self._heap and self._heap[0][0] <= now:
            return heapq.heappop(self._heap)[2]
        return None

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next one, None when there is none."""
        return max(0.0, self._heap[0][0] - now) if self._heap else None

    def _put(self, due: float, packet: bytes) -> None:
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, packet))


def goes_down(packet: bytes) -> bool:
    """Tell whether a packet is on its way to the client."""
    if packet[0] >> 4 == 4:
        return packet[16:19] == _CLIENT4
    return packet[24:30] == _CLIENT6


def _transport(packet: bytes) -> tuple[int, int]:
    """Return the protocol of a packet and where its header begins.

    Later fragments of UDP count as UDP; IPv6 extension headers as themselves.
    """
    if packet[0] >> 4 == 4:
        return packet[9], (packet[0] & 0x0F) * 4
    return packet[6], 40


def with_wrong_checksum(packet: bytes, protocol: int, start: int) -> bytes:
    """Return a packet of TCP or UDP whose checksum does not fit."""
    field = start + {_TCP: 17, _UDP: 7}.get(protocol, 0)
    if protocol not in {_TCP, _UDP} or field >= len(packet):
        return packet
    result = bytearray(packet)
    result[field] ^= 0x55
    return bytes(result)


def changed(packet: bytes, start: int, least: int) -> bytes:
    """Return a TCP packet with a bit changed in mid-payload and the checksum mended."""
    payload = start + (packet[start + 12] >> 4) * 4
    if len(packet) - payload < least:
        return packet
    result = bytearray(packet)
    # In a word of its own, at an even distance from the header, as checksums count.
    at = payload + (len(packet) - payload) // 2
    at -= (at - start) % 2
    old = struct.unpack_from("!H", result, at)[0]
    _set_word(result, at, old ^ 0x0020, (start + 16,))
    return bytes(result)


def _by_turns(packet: bytes, protocol: int, start: int, turn: int) -> bytes:
    """Return a packet to or from the first address, whichever server has it now."""
    if packet[0] >> 4 != 4 or protocol not in {_TCP, _UDP}:
        return packet
    at, old, new = _SOURCE, _SECOND, _FIRST
    if not goes_down(packet):
        if not turn % 2:
            return packet
        at, old, new = _DESTINATION, _FIRST, _SECOND
    if packet[at : at + 4] != old:
        return packet
    result = bytearray(packet)
    fields = [_IP_CHECKSUM]
    if not struct.unpack_from("!H", packet, 6)[0] & _FRAGMENT_OFFSET:
        fields.append(start + {_TCP: 16, _UDP: 6}[protocol])
    _set_word(result, at + 2, struct.unpack("!H", new[2:])[0], fields)
    return bytes(result)


def _set_word(packet: bytearray, at: int, new: int, checksums: Sequence[int]) -> None:
    """Set 16 bits, and mend the checksums that cover them (RFC 1624, equation 3)."""
    old = struct.unpack_from("!H", packet, at)[0]
    struct.pack_into("!H", packet, at, new)
    for field in checksums:
        before = struct.unpack_from("!H", packet, field)[0]
        total = (~before & 0xFFFF) + (~old & 0xFFFF) + new
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into("!H", packet, field, ~total & 0xFFFF)


def route(up: Impairments, down: Impairments) -> None:
    """Carry packets until standard input ends."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    named = struct.pack("16sH22x", DEVICE.encode(), _TUN_WITHOUT_INFORMATION)
    fcntl.ioctl(tun, _SET_INTERFACE, named)
    print(READY, flush=True)
    queues = ((Queue(1), up), (Queue(2), down))
    clock, stdin = time.monotonic, sys.stdin.fileno()
    while True:
        now = clock()
        waits = [wait for queue, _ in queues if (wait := queue.wait(now)) is not None]
        ready, _, _ = select.select([tun, stdin], [], [], min(waits, default=None))
        if stdin in ready:
            return
        now = clock()
        if tun in ready:
            for packet in _read(tun):
                queue, impairments = queues[goes_down(packet)]
                queue.take(packet, impairments, now)
        for queue, _ in queues:
            while (due := queue.due(now)) is not None:
                os.write(tun, due)


def _read(tun: int) -> list[bytes]:
    """Return the packets that are there, a bounded number of them."""
    packets: list[bytes] = []
    try:
        while len(packets) < _AT_ONCE:
            packets.append(os.read(tun, _LONGEST))
    except BlockingIOError:
        pass
    return packets


def arguments(up: Impairments, down: Impairments) -> list[str]:
    """Return what to put on the command line."""
    return [json.dumps(dataclasses.asdict(impairments)) for impairments in (up, down)]


if __name__ == "__main__":
    route(*(Impairments(**json.loads(word)) for word in sys.argv[1:3]))
