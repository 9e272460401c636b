"""The questions to one DNS server: each name once, then again what decides."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netduet.client.checks.name.results import SILENT, Query
from netduet.client.net.dns_socket import DnsSocket, ask_over_tcp
from netduet.client.protocols.dns_lookup import DnsAnswer, RecordType

if TYPE_CHECKING:
    from netduet.client.net.dial import Address, Resolution

REPEATS: Final = 7
"""Further questions per record type about the decisive name."""
REPEATS_UNKNOWN: Final = 3
"""The same about each name, if none has addresses."""
QUERIES_FOR_LOSS: Final = 96
"""Queries to a server that leaves one unanswered: then a third of loss is found in all but
3 of 100,000 runs, a quarter in all but 1 of 100 (see ``silence.MAX_LOSS``)."""
REPEATS_ALONE: Final = 2
"""Questions for a silent record type from sockets of their own."""
MAX_REPEATED_NAMES: Final = 4

SILENCE_SECONDS: Final = 1.5
"""Wait for a silent server, or record type, if getaddrinfo is done earlier."""
_PAUSE_SECONDS: Final = 0.005
"""Between two sockets: a burst could be taken for an attack."""
_RESEND_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 0.5
"""Least wait for the rest of the answers after the latest one."""
_PATIENCE_FACTOR: Final = 3
"""The same as a multiple of the slowest answer."""
_TICK_SECONDS: Final = 0.1
_TCP_SECONDS: Final = 2.0


class ServerSession:
    """The questions to one server; ``run`` it, then read ``queries``, then ``close``.

    ``names`` are those that a look-up of ``host`` tries, in order. ``resolving`` is
    getaddrinfo, beside which waiting costs nothing; ``until`` is a monotonic second.
    """

    def __init__(
        self,
        server: Address,
        host: str,
        names: tuple[str, ...],
        records: tuple[RecordType, ...],
        *,
        resolving: asyncio.Future[Resolution],
        until: float,
    ) -> None:
        self._server = server
        self._host = host
        self._names = names
        self._records = records
        self._resolving = resolving
        self._until = until
        self._sockets: list[DnsSocket] = []
        self._random: DnsSocket | None = None
        self._over_tcp: dict[tuple[str, RecordType], DnsAnswer | str] = {}
        self._change = asyncio.Event()
        self._start = self._last_change = time.monotonic()

    @property
    def is_wildcard(self) -> bool:
        """Whether the search domain has addresses for a random name, too."""
        replies = () if self._random is None else self._random.replies.values()
        return any(reply.addresses for reply, _ in replies)

    async def run(self) -> None:
        """Ask for each name once; then several times for the name that decides."""
        for name in self._names:
            await self._ask(name, self._records)
        await self._wait(patient=False)
        if not any(opened.replies for opened in self._sockets):
            return
        await self._repeat_over_tcp()
        if not self._decisive():
            unknown = self._names[:MAX_REPEATED_NAMES]
            await self._repeat(REPEATS_UNKNOWN * unknown)
        decisive = self._decisive()
        if decisive:
            await self._repeat_decisive(decisive)
        await self._repeat_for_loss(decisive or self._names[0])

    async def _repeat_decisive(self, decisive: str) -> None:
        """Ask again for the name whose addresses a look-up returns."""
        if decisive.startswith(f"{self._host}."):
            random = f"nd-{secrets.token_hex(6)}{decisive.removeprefix(self._host)}"
            self._random = await self._open(random, self._records)
        await self._repeat(REPEATS * (decisive,))
        for record in REPEATS_ALONE * self._silent_records():
            await self._ask(decisive, (record,))
        await self._wait(patient=True)
        await self._repeat_over_tcp()

    async def _repeat_for_loss(self, name: str) -> None:
        """Ask many times for a name if a query was lost: few would prove no share.

        Not if the server answers no query of that type: that is no loss.
        """
        asked = [query for query in self.queries() if not query.alone]
        answered = {query.record for query in asked if query.answered}
        counted = [query for query in asked if query.record in answered]
        if any(query.error == SILENT for query in counted):
            missing = QUERIES_FOR_LOSS - len(counted)
            await self._repeat(-(-missing // len(answered)) * (name,))

    def close(self) -> None:
        """Close all sockets."""
        for opened in self._opened():
            opened.close()

    def queries(self) -> list[Query]:
        """Return all questions, with what came back."""
        return [
            self._query(opened, record)
            for opened in self._sockets
            for record in opened.records
        ]

    def _opened(self) -> list[DnsSocket]:
        return self._sockets + ([] if self._random is None else [self._random])

    def _query(self, opened: DnsSocket, record: RecordType) -> Query:
        query = Query(
            self._server.host,
            opened.name,
            record,
            alone=len(opened.records) < len(self._records),
        )
        if record not in opened.replies:
            if opened.error:
                return replace(query, error=opened.error, seconds=opened.error_seconds)
            waited = time.monotonic() - opened.asked_at
            return replace(query, error=SILENT, seconds=waited)
        reply, seconds = opened.replies[record]
        tcp_error = ""
        if reply.truncated:
            over_tcp = self._over_tcp.get((opened.name, record), reply)
            if isinstance(over_tcp, DnsAnswer):
                reply = over_tcp
            else:
                tcp_error = over_tcp
        return replace(
            query,
            code=reply.code,
            addresses=reply.addresses,
            seconds=seconds,
            tcp_error=tcp_error,
        )

    def _decisive(self) -> str:
        """Return the first name that has addresses, "" if none has."""
        found = {query.name for query in self.queries() if query.addresses}
        truncated = {name for name, _ in self._over_tcp}
        return next((name for name in self._names if name in found | truncated), "")

    async def _open(self, name: str, records: tuple[RecordType, ...]) -> DnsSocket:
        return await DnsSocket.open(self._server, name, records, self._note_change)

    async def _ask(self, name: str, records: tuple[RecordType, ...]) -> None:
        self._sockets.append(await self._open(name, records))

    async def _repeat(self, names: tuple[str, ...]) -> None:
        for name in names:
            await self._ask(name, self._records)
            await asyncio.sleep(_PAUSE_SECONDS)
        await self._wait(patient=False)

    def _note_change(self) -> None:
        self._last_change = time.monotonic()
        self._change.set()

    async def _repeat_over_tcp(self) -> None:
        """Ask again over TCP what came back truncated, as resolvers do."""
        truncated = {
            (opened.name, record)
            for opened in self._sockets
            for record, (reply, _) in opened.replies.items()
            if reply.truncated
        }
        for name, record in sorted(truncated - self._over_tcp.keys()):
            self._over_tcp[name, record] = await ask_over_tcp(
                self._server, name, record, _TCP_SECONDS
            )

    # Waiting

    async def _wait(self, *, patient: bool) -> None:
        """Wait for answers; ``patient``: for those of a silent record type, too."""
        resend_at = time.monotonic() + _RESEND_SECONDS
        while (now := time.monotonic()) < self._until:
            is_done = all(opened.is_done for opened in self._opened())
            if is_done or self._is_over(now, patient=patient):
                return
            if now >= resend_at and not any(each.replies for each in self._sockets):
                # From new sockets: which of two queries is answered would be unknown.
                resend_at = now + _RESEND_SECONDS
                for name in self._names:
                    await self._ask(name, self._records)
            self._change.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._change.wait()

    def _is_over(self, now: float, *, patient: bool) -> bool:
        is_late = self._resolving.done() and now - self._start >= SILENCE_SECONDS
        seconds = [
            seconds
            for opened in self._sockets
            for _, seconds in opened.replies.values()
        ]
        if not seconds:
            return is_late
        patience = max(_PATIENCE_SECONDS, _PATIENCE_FACTOR * max(seconds))
        if now - self._last_change < patience:
            return False
        return is_late or not (patient and self._silent_records())

    def _silent_records(self) -> tuple[RecordType, ...]:
        """Return the types that the server has not answered for the decisive name."""
        decisive = self._decisive()
        asked = [opened for opened in self._sockets if opened.name == decisive]
        answered = {record for opened in asked for record in opened.replies}
        return tuple(each for each in self._records if asked and each not in answered)
