"""Reports each event as a line on stdout and as a log event."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.net.run_id import run_fields
from netduet.client.outages.outage import (
    PARTIAL,
    OutageNotice,
    OutageOpen,
    OutageStarted,
    OutageUpdated,
)
from netduet.client.report.text import Line
from netduet.client.watch import text
from netduet.client.watch.availability import Summary
from netduet.client.watch.line_groups import ADDED, IDENTIFIED, LineGroups, removed
from netduet.client.watch.partial_failure import PartialNotice, PartialPhase
from netduet.runtime import logs
from netduet.wire.untrusted import escape

if TYPE_CHECKING:
    from netduet.client.results.instance import Instance
    from netduet.client.results.verdict import Finding
    from netduet.client.watch.discovery import ResolvedTarget
    from netduet.client.watch.peer import Peer

Write = Callable[[Iterable[Line]], None]


class Notifier:
    """Reports every event once, to people and to log collectors."""

    def __init__(self, write: Write, *, words: bool = True) -> None:
        """Write lines by ``write``; without ``words`` nobody reads them, so log warnings."""
        self._write = write
        self._groups = LineGroups()
        self._log = logs.logger()
        self._problem_level = logging.INFO if words else logging.WARNING

    def started(self, targets: Sequence[str], neighbours: int, origin: str) -> None:
        """Report the start of the watch; ``origin`` is node and zone, "" if unknown."""
        limit = f"up to {neighbours} addresses" if neighbours else "all addresses"
        rest = f"{text.join_names(targets)} ({limit} per name)"
        self._write_line(
            "strong", "WATCH", f"{rest}, from {origin}" if origin else rest
        )
        fields = {"netduet.target": ", ".join(targets), **run_fields()}
        self._log.info("watch.started", **fields)

    def added(self, peer: Peer) -> None:
        """Report that a peer is watched from now on."""
        self._groups.add(ADDED, _peer_name(peer), time.time())
        self._log.info("peer.added", **_peer_fields(peer))

    def identified(
        self, peer: Peer, instances: Sequence[Instance], *, follows: bool = False
    ) -> None:
        """Report which instance answers, or that several do.

        ``follows``: the server before it has shut down, as it had announced.
        """
        rest = text.identity_line(str(peer.address), instances)
        if follows:
            rest += "; the server before it shut down, as it announced"
        self._groups.add(IDENTIFIED, rest, time.time())
        fields = _peer_fields(peer)
        if len(instances) > 1:
            fields["netduet.peer.instances"] = [str(instance) for instance in instances]
        if follows:
            fields["netduet.diagnosis"] = (
                "the server before it shut down, as it announced"
            )
        self._log.info("peer.identified", **fields)

    def removed(self, peer: Peer, reason: str) -> None:
        """Report that a peer is no longer watched."""
        self._groups.add(removed(reason), _peer_name(peer), time.time())
        self._log.info(
            "peer.removed", **_peer_fields(peer), **{"netduet.diagnosis": reason}
        )

    def without_datagrams(self, peer: Peer, reason: str) -> None:
        """Report that only connections show the outages of this peer."""
        rest = (
            f"{_peer_name(peer)}: {reason}; its outages are detected by TCP connections alone, "
            "less precisely and without a direction"
        )
        self._write_line("INCONCLUSIVE", "note", rest)
        fields = _peer_fields(peer) | {"netduet.diagnosis": escape(reason)}
        self._log.log(self._problem_level, "peer.without_datagrams", **fields)

    def lookup(self, resolved: ResolvedTarget) -> None:
        """Report that a name does not resolve, or resolves again."""
        target = str(resolved.target)
        fields: dict[str, object] = {"netduet.target": target}
        if resolved.is_empty and not resolved.resolved:
            reason = escape(resolved.error)
            rest = f"{target} has no address yet: no server is ready ({reason})"
            self._write_line("INCONCLUSIVE", "NAME", rest)
            self._log.info("lookup.empty", **fields, **{"error.message": reason})
        elif resolved.error:
            address_count = len(resolved.addresses)
            fault = "does not resolve"
            if resolved.is_empty:
                fault = "has no address any more: no server is ready"
            rest = f"{target} {fault} ({escape(resolved.error)})"
            if address_count:
                rest += f"; its last known addresses ({address_count}) are kept"
            self._write_line("FAIL", "NAME", rest)
            cause = "" if resolved.cause is None else resolved.cause.value
            fields |= {"error.type": cause, "error.message": escape(resolved.error)}
            self._log.log(self._problem_level, "lookup.failed", **fields)
        else:
            self._write_line("PASS", "NAME", f"{target} resolves now")
            self._log.info("lookup.recovered", **fields)

    def lookup_source(self, target: str, reason: str) -> None:
        """Report that DNS replaces EndpointSlices, and why; "" when it no longer does."""
        fields: dict[str, object] = {"netduet.target": target}
        if reason:
            rest = f"{target}: its EndpointSlices cannot be read ({escape(reason)}); DNS is used"
            fields["error.message"] = escape(reason)
            self._write_line("INCONCLUSIVE", "note", rest)
            self._log.log(self._problem_level, "lookup.fallback", **fields)
        else:
            self._write_line("PASS", "note", f"{target}: its EndpointSlices are read")
            self._log.info("lookup.endpoint_slices", **fields)

    def outages(self, notices: Sequence[tuple[Peer, OutageNotice]]) -> None:
        """Report the outages that started, changed or ended in one poll of all peers."""
        now = time.time()
        epoch = now - time.monotonic()
        resolved = [(_peer_name(peer), notice) for peer, notice in notices]
        self.flush(all_of_them=True)
        self._write(text.outage_lines(resolved, now, epoch))
        for peer, notice in notices:
            self._log_outage(peer, notice, epoch)

    def _log_outage(self, peer: Peer, notice: OutageNotice, epoch: float) -> None:
        outage = notice.outage
        fields: dict[str, object] = _peer_fields(peer) | {
            "netduet.outage": notice.number,
            "error.type": outage.failure,
            "netduet.direction": outage.direction,
            "netduet.begin": _rfc3339(outage.start + epoch),
            "netduet.diagnosis": outage.description,
        }
        if isinstance(notice, OutageStarted):
            self._log.info("outage.began", **fields)
            return
        if isinstance(notice, OutageUpdated):
            fields["netduet.duration_s"] = round(outage.seconds, 3)
            self._log.info("outage.learnt", **fields)
            return
        fields |= {
            "netduet.duration_s": round(outage.seconds, 3),
            "netduet.proven": outage.proven,
        }
        if isinstance(notice, OutageOpen):
            self._log.info("outage.open", **fields)
            return
        fields |= {
            "netduet.end": _rfc3339(outage.end + epoch),
            "netduet.evidence": [
                f"{side.value}: {text}" for side, text in outage.evidence
            ],
        }
        self._log.info("outage.ended", **fields)

    def partial_failure(self, peer: Peer, notice: PartialNotice) -> None:
        """Report a partial failure that begins, is known better, is over or open."""
        now = time.time()
        epoch = now - time.monotonic()
        line = text.partial_line(_peer_name(peer), notice, now, epoch)
        self.flush(all_of_them=True)
        self._write([line])
        partial, phase = notice.partial, notice.phase
        fields = _peer_fields(peer) | {
            "netduet.partial_failure": notice.number,
            "error.type": PARTIAL,
            "netduet.direction": partial.where.direction,
            "netduet.begin": _rfc3339(partial.start + epoch),
            "netduet.failed_ratio": round(partial.share, 3),
            "netduet.failed": partial.failed,
            "netduet.attempts": partial.attempts,
            "netduet.diagnosis": partial.description,
        }
        if phase is PartialPhase.BEGAN:
            self._log.info("partial.began", **fields)
            return
        fields["netduet.duration_s"] = round(partial.seconds, 3)
        if phase is PartialPhase.LEARNT:
            self._log.info("partial.learnt", **fields)
        elif phase is PartialPhase.OPEN:
            self._log.info("partial.open", **fields)
        else:
            fields["netduet.end"] = _rfc3339(partial.end + epoch)
            self._log.info("partial.ended", **fields)

    def all_out(self, peers: int, start: float) -> None:
        """Report that all peers are out, since a monotonic second."""
        epoch = time.time() - time.monotonic()
        self._write_line("FAIL", "ALL", text.all_out(peers, start + epoch))
        self._log.log(self._problem_level, "watch.alone", **{"netduet.peers": peers})

    def finding_started(self, peer: Peer, finding: Finding) -> None:
        """Report a finding of a scheduled check that it did not have before."""
        title = CATALOGUE[finding.failure].title
        self._write_line(
            "FAIL",
            "FOUND",
            f"{_peer_name(peer)}: {title} [{finding.failure}]: {finding.seen}",
        )
        fields = _peer_fields(peer) | {
            "error.type": finding.failure,
            "netduet.diagnosis": finding.seen,
            "netduet.evidence": [
                f"{side.value}: {text}" for side, text in finding.evidence
            ],
        }
        self._log.info("finding.began", **fields)

    def finding_ended(self, peer: Peer, failure: str) -> None:
        """Report that a scheduled check no longer has a finding."""
        title = CATALOGUE[failure].title
        self._write_line(
            "PASS", "CLEAR", f"{_peer_name(peer)}: no longer: {title} [{failure}]"
        )
        fields = _peer_fields(peer) | {"error.type": failure}
        self._log.info("finding.ended", **fields)

    def summary(self, summary: Summary) -> None:
        """Report the summary."""
        self.flush(all_of_them=True)
        self._write(text.summary(summary, time.time() - time.monotonic()))
        outages = {
            f"{failure}/{direction}": count
            for (failure, direction), count in summary.counts.items()
        }
        availability = summary.availability
        fields: dict[str, object] = {
            "netduet.duration_s": round(summary.seconds, 3),
            "netduet.peers": summary.peers,
            "netduet.availability": None
            if availability is None
            else round(availability, 6),
            "netduet.down_s": round(summary.down_seconds, 3),
            "netduet.outages": summary.outages,
            "netduet.open_outages": summary.open_outages,
            "netduet.partial_failures": summary.partial.count,
            "netduet.partial_s": round(summary.partial.seconds, 3),
            "netduet.never_reached": list(summary.never_reached),
            "netduet.longest_s": round(summary.longest_seconds, 3),
            "netduet.outages_by_kind": outages,
            "netduet.findings": summary.findings,
            "netduet.unproven": summary.unproven,
        }
        self._log.info("watch.stopped", **fields)

    def flush(self, *, all_of_them: bool = False) -> None:
        """Write the lines that waited for others of their kind long enough, or all."""
        now = time.time()
        for word, rest in self._groups.take(now, all_of_them=all_of_them):
            self._write([text.line(now, "", word, rest)])

    def _write_line(self, style: str, word: str, rest: str) -> None:
        self.flush(all_of_them=True)
        self._write([text.line(time.time(), style, word, rest)])


def _peer_name(peer: Peer) -> str:
    return text.peer_name(str(peer.address), peer.target, peer.instance)


def _peer_fields(peer: Peer) -> dict[str, object]:
    fields: dict[str, object] = {
        "server.address": peer.address.host,
        "server.port": peer.address.port,
        "netduet.target": peer.target,
    }
    if peer.instance is not None:
        for name in ("instance", "node", "zone"):
            if value := getattr(peer.instance, name):
                fields[f"netduet.peer.{name}"] = value
    return fields


def _rfc3339(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
