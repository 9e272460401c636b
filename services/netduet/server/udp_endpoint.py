"""UDP: one socket per address family; answers come from the address that was asked."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Final

from netduet.net import kernel
from netduet.server.handlers import Handlers, new_id
from netduet.server.udp_streams import ReplyPath
from netduet.wire import datagram, udp_count, udp_stream
from netduet.wire.errors import RemoteError
from netduet.wire.frames import MAGIC, Frame, Kind
from netduet.wire.messages import Open, decode

if TYPE_CHECKING:
    from netduet.server.address import Address
    from netduet.server.context import ServerContext
    from netduet.server.counters import Counters
    from netduet.server.udp_flow_counters import UdpFlowCounters
    from netduet.server.udp_streams import UdpStreams
    from netduet.wire.udp_stream import StreamAnswer

_BATCH: Final = 64
"""Maximum datagrams per turn of the loop, so that TCP connections get theirs."""

PER_CLIENT: Final = "datagrams_per_client"

_UNIT_BYTES: Final = 1500
"""Bytes for which a large datagram counts as one more: about a packet."""

_MAX_DATAGRAM_BYTES: Final = 65_535
_KIND: Final = len(MAGIC) + 4
_IN_PKTINFO: Final = struct.Struct("=I4s4s")  # ip(7): ifindex, spec_dst, addr
_IN6_PKTINFO: Final = struct.Struct("=16sI")  # ipv6(7): addr, ifindex
_IP_PKTINFO: Final = 8  # socket.IP_PKTINFO exists only from Python 3.14 on

_STREAM: Final = bytes([Kind.STREAM])

TAKEN: Final = b""
"""No answer: a datagram of a stream, which the server sends at its own pace."""

Ancillary = list[tuple[int, int, bytes]]


class UdpEndpoint:
    """Answers the datagrams of one socket.

    The destination of each datagram (IP_PKTINFO) becomes the source of the answer: on a
    host with several addresses the kernel might choose another one, which the client
    would not accept.
    """

    def __init__(
        self,
        sock: socket.socket,
        handlers: Handlers,
        counters: Counters,
        flows: UdpFlowCounters,
        streams: UdpStreams,
        *,
        context: ServerContext,
    ) -> None:
        """Take over a bound, non-blocking socket."""
        self._access_log = context.access_log
        self._rates = context.datagram_rates
        self._limit_log = context.limit_log
        self._flows = flows
        self._streams = streams
        self._sock = sock
        self._handlers = handlers
        self._counters = counters
        self._port: int = sock.getsockname()[1]
        if sock.family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to answer."""
        loop.add_reader(self._sock.fileno(), self._readable)

    def stop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer what is queued, then close the socket."""
        loop.remove_reader(self._sock.fileno())
        self._readable()
        self._sock.close()

    def _readable(self) -> None:
        for _ in range(_BATCH):
            try:
                data, ancillary, flags, peer = self._sock.recvmsg(
                    _MAX_DATAGRAM_BYTES, 128
                )
            except BlockingIOError:
                return
            except OSError:
                self._counters.datagrams_failed += 1
                return
            if flags & socket.MSG_TRUNC:
                self._counters.datagrams_ignored += 1
                continue
            amount = 1 + len(data) // _UNIT_BYTES
            exceeded = self._rates.take(peer[0], time.monotonic(), amount)
            if exceeded is not None:
                name = "datagrams" if exceeded is self._rates.total else PER_CLIENT
                self._limit_log.reached(name, exceeded.per_second, peer[0])
                continue
            local, source = _destination(ancillary)
            if data[_KIND : _KIND + 1] == _STREAM:
                answer = self._stream(data, peer, source)
            else:
                answer = self._answer(data, (peer[0], peer[1]), (local, self._port))
            if answer is None:
                self._counters.datagrams_ignored += 1
                continue
            self._access_log.datagram(peer[0])
            if (
                answer is not TAKEN
                and not self._send(answer, source, peer)
                and data[_KIND] == Kind.COUNT
            ):
                self._flows.take_back()

    def _send(self, answer: bytes, source: Ancillary, peer: Any) -> bool:
        """Send from an address; return whether it was sent."""
        try:
            self._sock.sendmsg([answer], source, 0, peer)
        except OSError:
            # A full buffer, or no route to the peer: UDP may lose datagrams.
            self._counters.datagrams_failed += 1
            return False
        self._counters.datagrams_answered += 1
        return True

    def _answer(self, data: bytes, peer: Address, local: Address) -> bytes | None:
        room = len(data)
        try:
            frame = datagram.parse_question(data)
            if frame is None:
                return None
            if frame.kind == Kind.ECHO:
                return datagram.answer(Kind.ECHO, frame.payload, frame.id, room)
            if frame.kind == Kind.COUNT:
                return self._count(frame, peer, room)
            bounds = self._handlers.question_bounds
            opening = decode(Open, frame.payload, frame.id, bounds)
        except RemoteError as error:
            return datagram.failure(error, room)
        welcome = self._handlers.welcome(opening, new_id(), peer, local)
        return datagram.answer(Kind.OPEN, welcome, frame.id, room)

    def _count(self, frame: Frame, peer: Address, room: int) -> bytes | None:
        """Count a datagram of a flow, unless it cannot be answered."""
        question = udp_count.parse_question(frame.payload, frame.id)
        length = len(frame.payload)
        # Read now, so that it includes the drops before this datagram.
        answer = self._flows.answer(peer, question, length, length, self._drops())
        return datagram.answer(Kind.COUNT, answer, frame.id, room)

    def _drops(self) -> int | None:
        return kernel.socket_drops(self._sock.fileno())

    def _stream(self, data: bytes, peer: Any, source: Ancillary) -> bytes | None:
        """Handle a datagram of a stream; return an immediate answer, or TAKEN."""

        def send(answer: StreamAnswer) -> bool:
            data = datagram.answer(Kind.STREAM, answer.serialize(), 0, udp_stream.SIZE)
            return data is not None and self._send(data, source, peer)

        try:
            frame = datagram.parse_question(data)
            if frame is None:
                return None
            question = udp_stream.parse_question(frame.payload, frame.id)
            reply_path = ReplyPath((peer[0], peer[1]), send, self._drops)
            answer = self._streams.take(
                question, reply_path, time.monotonic(), frame.id
            )
        except RemoteError as error:
            return datagram.failure(error, len(data))
        if answer is None:
            return TAKEN
        return datagram.answer(Kind.STREAM, answer.serialize(), frame.id, len(data))


def _destination(ancillary: Ancillary) -> tuple[str, Ancillary]:
    """Return the destination address, and the control data that makes it the source."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            _, local, _ = _IN_PKTINFO.unpack(data)
            source = _IN_PKTINFO.pack(0, local, bytes(4))
            return socket.inet_ntop(socket.AF_INET, local), [(level, kind, source)]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            address, interface = _IN6_PKTINFO.unpack(data)
            # Only a link-local address needs its interface (RFC 4007).
            link_local = address[:2] == b"\xfe\x80"
            source = _IN6_PKTINFO.pack(address, interface if link_local else 0)
            return socket.inet_ntop(socket.AF_INET6, address), [(level, kind, source)]
    return "", []
