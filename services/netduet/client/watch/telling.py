"""Tells what is seen: a line in words on stdout, an event in the log; the same facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from netduet import logs
from netduet.client.failures import CATALOGUE
from netduet.client.report.words import Line
from netduet.client.watch import words
from netduet.client.watch.account import Summary
from netduet.client.watch.trouble import Began, Told
from netduet.wire.foreign import escape

if TYPE_CHECKING:
    from netduet.client.dial import Address
    from netduet.client.verdict import Finding
    from netduet.client.watch.whom import Named

Write = Callable[[Iterable[Line]], None]


class Telling:
    """Says everything once, to people and to whoever collects logs."""

    def __init__(self, write: Write) -> None:
        """Say where words go."""
        self._write = write
        self._log = logs.logger()

    def started(self, targets: str, neighbours: int) -> None:
        """Say that the watch begins."""
        how = f"at most {neighbours} addresses of each name"
        self._say(
            "strong", "WATCH", f"{targets}: {how if neighbours else 'all addresses'}"
        )
        self._log.info("watch.started", **{"netduet.target": targets})

    def added(self, address: Address, target: str) -> None:
        """Say that a peer is watched from now on."""
        self._say("", "+", f"{words.named(str(address), target)} is watched")
        self._log.info("peer.added", **_peer(address, target))

    def removed(self, address: Address, target: str) -> None:
        """Say that a peer is watched no more."""
        self._say(
            "",
            "-",
            f"{words.named(str(address), target)} is watched no more: its name has others",
        )
        self._log.info("peer.removed", **_peer(address, target))

    def silent(self, address: Address, target: str, why: str) -> None:
        """Say that only connections tell of this peer."""
        rest = (
            f"{address}: {why}; its outages are told by connections alone, "
            "less exactly and without a direction"
        )
        self._say("INCONCLUSIVE", "note", rest)
        fields = _peer(address, target) | {"netduet.diagnosis": escape(why)}
        self._log.warning("peer.without_datagrams", **fields)

    def lookup(self, named: Named) -> None:
        """Say that a name resolves no more, or again."""
        target = str(named.target)
        fields: dict[str, object] = {"netduet.target": target}
        if named.trouble:
            kept = len(named.addresses)
            rest = f"{target} does not resolve ({escape(named.trouble)})"
            rest += f"; its {kept} last addresses are kept" if kept else ""
            self._say("FAIL", "NAME", rest)
            cause = "" if named.cause is None else named.cause.value
            fields |= {"error.type": cause, "error.message": escape(named.trouble)}
            self._log.warning("lookup.failed", **fields)
        else:
            self._say("PASS", "NAME", f"{target} resolves again")
            self._log.info("lookup.recovered", **fields)

    def told(self, address: Address, target: str, one: Told) -> None:
        """Say that an outage begins, or is over."""
        epoch = time.time() - time.monotonic()
        self._write(
            [words.told(words.named(str(address), target), one, time.time(), epoch)]
        )
        trouble = one.trouble
        fields: dict[str, object] = _peer(address, target) | {
            "netduet.outage": one.number,
            "error.type": trouble.failure,
            "netduet.direction": trouble.direction,
            "netduet.begin": _rfc3339(trouble.begin + epoch),
            "netduet.diagnosis": trouble.seen,
        }
        if isinstance(one, Began):
            self._log.info("outage.began", **fields)
            return
        fields |= {
            "netduet.end": _rfc3339(trouble.end + epoch) if trouble.ended else None,
            "netduet.duration_s": round(trouble.seconds, 3),
            "netduet.proven": trouble.proven,
            "netduet.evidence": [
                f"{side.value}: {text}" for side, text in trouble.evidence
            ],
        }
        self._log.info("outage.ended", **fields)

    def found(self, address: Address, target: str, one: Finding) -> None:
        """Say that a check on the schedule finds something that it did not before."""
        title = CATALOGUE[one.failure].title
        self._say("FAIL", "FOUND", f"{address}: {title} [{one.failure}]: {one.seen}")
        fields = _peer(address, target) | {
            "error.type": one.failure,
            "netduet.diagnosis": one.seen,
            "netduet.evidence": [
                f"{side.value}: {text}" for side, text in one.evidence
            ],
        }
        self._log.info("finding.began", **fields)

    def found_no_more(self, address: Address, target: str, failure: str) -> None:
        """Say that a check on the schedule finds something no more."""
        title = CATALOGUE[failure].title
        self._say("PASS", "GONE", f"{address}: no longer: {title} [{failure}]")
        fields = _peer(address, target) | {"error.type": failure}
        self._log.info("finding.ended", **fields)

    def summary(self, one: Summary) -> None:
        """Say what it came to."""
        self._write(words.summary(one, time.time() - time.monotonic()))
        outages = {
            f"{failure}/{direction}": count
            for (failure, direction), count in one.kinds.items()
        }
        availability = one.availability
        fields: dict[str, object] = {
            "netduet.duration_s": round(one.seconds, 3),
            "netduet.peers": one.peers,
            "netduet.availability": None
            if availability is None
            else round(availability, 6),
            "netduet.down_s": round(one.down, 3),
            "netduet.outages": one.outages,
            "netduet.longest_s": round(one.longest, 3),
            "netduet.outages_by_kind": outages,
            "netduet.findings": one.findings,
            "netduet.unproven": one.unproven,
        }
        self._log.info("watch.stopped", **fields)

    def _say(self, style: str, word: str, rest: str) -> None:
        self._write([words.line(time.time(), style, word, rest)])


def _peer(address: Address, target: str) -> dict[str, object]:
    return {
        "server.address": address.host,
        "server.port": address.port,
        "netduet.target": target,
    }


def _rfc3339(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
