"""Finds out which service answers at an address, by harmless greetings.

A demanded protocol is the only one that is tried. Otherwise the protocols come first
whose services usually listen on the port; then netduet listens, for services that speak
first; then it greets in the commonest protocols, and at last in all others. Each
greeting has its own connection.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from netduet.client import protocols
from netduet.client.checks.identity.results import Expectation, IdentityAnswer
from netduet.client.net.dial import Address, Cause, Connect, connect
from netduet.client.net.dialer import ServiceDialer
from netduet.client.net.framed_connection import open_connection
from netduet.client.net.last_answers import LastAnswers
from netduet.client.net.service_connection import listen
from netduet.wire.errors import Code
from netduet.wire.frames import MAGIC, Kind

if TYPE_CHECKING:
    from netduet.client.net.framed_connection import FramedConnection
    from netduet.client.net.handshake import Handshake
    from netduet.client.net.timeouts import Timeouts
    from netduet.client.protocols.base import Protocol

NETDUET_PORT: Final = 12_345
"""The port of netduet-server: there, silence is a failure, whatever listens."""

LISTEN_SECONDS: Final = 0.4
"""Seconds for which netduet listens for a service that speaks first."""

GREETING_SECONDS: Final = 1.0
"""Maximum seconds for the answer to a greeting whose protocol is a guess."""

_COMMON: Final = ("http", "tls")
_END_SECONDS: Final = 1.0

LONG_PATH_SECONDS: Final = 0.05
"""Time of a handshake beyond which an echo shows whether the path is slow: it costs no
round trip of its own."""
_LONG_PATH_END_SECONDS: Final = 2.5
_ECHO_BYTES: Final = 8192
"""Bytes of that echo: they fit the first flight of segments (RFC 6928)."""


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Recognises what answers at the addresses of one target.

    ``connect`` makes the connections.
    """

    host: str
    timeouts: Timeouts
    expected: Expectation
    connect: Connect = connect

    async def identify(
        self, address: Address, likely: Sequence[Protocol] = ()
    ) -> IdentityAnswer:
        """Return what answers at an address; ``likely`` protocols are tried first."""
        answer = await self._identify(address, likely)
        is_mute = answer.waits and not answer.handshake.foreign
        if not (self.expected.must_respond and is_mute):
            return answer
        handshake = replace(answer.handshake, cause=Cause.TIMEOUT)
        return replace(answer, handshake=handshake, waits=False)

    async def _identify(
        self, address: Address, likely: Sequence[Protocol]
    ) -> IdentityAnswer:
        expected = self.expected
        if expected.is_netduet:
            return await self._open_framed(address)
        if expected.tcp_alone:
            return await self._listen(address)
        if expected.protocol is not None and expected.protocol.datagrams:
            answer = await self._greet(address, expected.protocol, self.timeouts)
            return replace(answer, waits=bool(answer.handshake.foreign))
        if expected.protocol is not None:
            return await self._identify_demanded(address, expected.protocol)
        if address.port == NETDUET_PORT:
            return await self._follow(address, await self._open_framed(address))
        return await self._identify_any(address, likely)

    async def _identify_demanded(
        self, address: Address, demanded: Protocol
    ) -> IdentityAnswer:
        """Greet in the demanded protocol; find out what answers instead."""
        answer = await self._greet(address, demanded, self.timeouts)
        if answer.protocol is not None or not answer.handshake.accepted:
            return answer
        if answer.handshake.foreign:
            return await self._follow(address, answer)
        tried = [each for each in protocols.PROTOCOLS if each.name not in _COMMON]
        other = await self._identify_unknown(address, tried)
        if _is_found(other):
            return other
        is_silent = answer.handshake.cause is Cause.TIMEOUT
        return replace(answer, usual=demanded) if is_silent else answer

    async def _identify_any(
        self, address: Address, likely: Sequence[Protocol]
    ) -> IdentityAnswer:
        usual = protocols.protocols_of_port(address.port)
        tried = [*likely, *(each for each in usual if each not in likely)]
        silent = None
        for protocol in tried:
            answer = await self._greet(address, protocol, self.timeouts)
            if answer.protocol is not None:
                return answer
            if answer.handshake.foreign:
                followed = await self._follow(address, answer)
                if _is_found(followed):
                    return replace(followed, usual=protocol)
            if answer.handshake.cause is Cause.TIMEOUT:
                silent = silent or replace(answer, usual=protocol)
        if silent is None:
            return await self._identify_unknown(address, tried)
        # It may be frozen: no other greetings, which it would read and log later.
        first = await self._listen(address)
        if first.handshake.foreign:
            return await self._follow(address, first)
        if all(protocol.server_first for protocol in tried):
            own = await self._guess()._open_framed(address)
            if own.is_netduet:  # it waits for a greeting, as its clients do
                return own
        return silent

    async def _identify_unknown(
        self, address: Address, tried: Sequence[Protocol]
    ) -> IdentityAnswer:
        """Listen, then greet in all protocols that have not been tried.

        Meanwhile greet as netduet does, so that a netduet server costs no time.
        """
        framed = asyncio.create_task(self._guess()._open_framed(address))
        listening = asyncio.create_task(self._listen(address))
        try:
            await asyncio.wait((framed, listening), return_when=asyncio.FIRST_COMPLETED)
            if framed.done() and framed.result().is_netduet:
                return framed.result()
            first = await listening
            own = await framed
        finally:
            for task in (framed, listening):
                task.cancel()
            await asyncio.gather(framed, listening, return_exceptions=True)
        if own.is_netduet:
            return own
        if first.handshake.foreign or not first.waits:
            return await self._follow(address, first)
        clients_first = [
            protocol
            for protocol in protocols.PROTOCOLS
            if not (protocol.server_first or protocol.datagrams or protocol in tried)
        ]
        common = [each for each in clients_first if each.name in _COMMON]
        others = [each for each in clients_first if each not in common]
        speaking = None
        for group in (common, others):
            guess = self._guess().timeouts
            answers = await asyncio.gather(
                *(self._greet(address, protocol, guess) for protocol in group)
            )
            if group is common:
                answers.insert(0, own)
            for answer in answers:
                followed = await self._follow(address, answer)
                if _is_found(followed):
                    return followed
                if followed.waits:
                    speaking = speaking or followed
        titles = tuple(each.title for each in (*tried, *common, *others))
        return replace(speaking or first, tried=("netduet", *titles))

    def _guess(self) -> Recogniser:
        """Return one that waits less, because the protocol is a guess."""
        answer = min(self.timeouts.answer, GREETING_SECONDS)
        return replace(self, timeouts=replace(self.timeouts, answer=answer))

    async def _follow(self, address: Address, answer: IdentityAnswer) -> IdentityAnswer:
        """Return who it is that answered with foreign bytes to a greeting."""
        handshake = answer.handshake
        if is_echo(handshake):
            handshake = replace(handshake, broken=None, foreign=MAGIC)
            return replace(answer, handshake=handshake, waits=True)
        if not handshake.foreign or is_netduet_like(handshake):
            return answer
        recognition = protocols.recognise(handshake.foreign)
        if recognition is None:
            return replace(answer, waits=True)
        protocol = protocols.find_protocol(recognition.protocol)
        if protocol is None or protocol.name == "plain":
            # A netduet server answers so to anything that is not its own protocol.
            framed = await self._open_framed(address)
            if framed.is_netduet or protocol is None:
                return framed
        greeted = await self._greet(address, protocol, self.timeouts)
        if greeted.protocol is not None:
            return greeted
        handshake = replace(handshake, recognition=recognition)
        return replace(answer, handshake=handshake, protocol=protocol)

    async def _open_framed(self, address: Address) -> IdentityAnswer:
        last = LastAnswers()
        opened = open_connection(address, self.timeouts, self.connect)
        async with opened as (handshake, connection):
            if connection is not None:
                last = await self._end(connection, handshake)
        inspection = last.inspection
        return IdentityAnswer(
            address,
            handshake,
            host=self.host,
            counters=None if inspection is None else inspection.counters,
            echo_seconds=_echo_seconds(last),
        )

    async def _end(
        self, connection: FramedConnection, handshake: Handshake
    ) -> LastAnswers:
        """End a connection; ask for the server's state, on a long path for an echo, too.

        The counters are the first ones of this run: later ones are compared with them.
        """
        timeout = min(_END_SECONDS, self.timeouts.answer)
        if "inspect" not in connection.welcome.features:
            await connection.end(timeout)
            return LastAnswers()
        if handshake.connect_seconds <= LONG_PATH_SECONDS:
            return await connection.inspect_and_end(timeout)
        longer = min(_LONG_PATH_END_SECONDS, self.timeouts.answer)
        return await connection.inspect_and_end(longer, _ECHO_BYTES)

    async def _greet(
        self, address: Address, protocol: Protocol, timeouts: Timeouts
    ) -> IdentityAnswer:
        dialer = ServiceDialer(address, protocol, self.host, self.connect)
        async with dialer.open(timeouts) as (handshake, connection):
            if connection is not None:
                await connection.end(min(_END_SECONDS, timeouts.answer))
        found = protocol if handshake.recognition is not None else None
        return IdentityAnswer(address, handshake, found, host=self.host)

    async def _listen(self, address: Address) -> IdentityAnswer:
        handshake = await listen(address, self.timeouts, LISTEN_SECONDS, self.connect)
        return IdentityAnswer(
            address, handshake, waits=_stayed_open(handshake), host=self.host
        )


def _echo_seconds(last: LastAnswers) -> float | None:
    """Return by how many seconds the echo came later; None if it was not asked for.

    Infinity if it did not come.
    """
    if not last.asked_echo or not last.inspected_at:
        return None
    return last.echo_at - last.inspected_at if last.echo_at else math.inf


def is_netduet_like(handshake: Handshake) -> bool:
    """Whether a netduet server answered, even if its answer was altered on the way."""
    return (
        handshake.welcome is not None
        or handshake.refused is not None
        or (handshake.broken is not None and not is_echo(handshake))
        or MAGIC[1:] in handshake.foreign
    )


def is_echo(handshake: Handshake) -> bool:
    """Whether our own request came back: an echo service (RFC 862)."""
    broken = handshake.broken
    return (
        broken is not None
        and broken.code == Code.OUT_OF_ORDER
        and broken.facts.get("kind") == Kind.OPEN
    )


def _is_found(answer: IdentityAnswer) -> bool:
    return answer.protocol is not None or is_netduet_like(answer.handshake)


def _stayed_open(handshake: Handshake) -> bool:
    return handshake.accepted and not handshake.closed and handshake.cause is None
