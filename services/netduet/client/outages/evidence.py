"""The evidence of outages, for the check ``stream`` and for ``watch``. Pure."""

from __future__ import annotations

from typing import Final

from netduet.client.outages import describe
from netduet.client.outages.events import (
    ConnectFailureRun,
    ConnectionStall,
    ServerRestart,
)
from netduet.client.outages.observations import Observations
from netduet.client.outages.outage import Outage
from netduet.client.results.location import Location, Side
from netduet.client.results.verdict import Evidence
from netduet.wire.messages import ServerReport, TcpInfo
from netduet.wire.untrusted import escape

_LATER_SECONDS: Final = 0.1
"""Seconds by which a recovery must be later than another to be called later."""


def loss_evidence(observations: Observations, outage: Outage) -> Evidence:
    """Return what both ends report of an outage."""
    period = observations.datagrams.period * 1000
    evidence: list[tuple[Side, str]] = []
    for run in outage.loss_runs:
        sent = f"sent {run.lost} datagrams meanwhile, one every {period:.0f} ms"
        if run.where == Location.TO_SERVER:
            evidence += [
                (Side.CLIENT, sent),
                (
                    Side.SERVER,
                    (
                        f"reports {run.lost} missing in a row, and received those "
                        "before and after"
                    ),
                ),
            ]
        elif run.where == Location.FROM_SERVER:
            evidence += [
                (
                    Side.SERVER,
                    (
                        f"{sent}, as the sequence numbers and times of those before "
                        "and after show"
                    ),
                ),
                (Side.CLIENT, f"did not receive these {run.lost} datagrams in a row"),
            ]
        else:
            evidence.append(
                (Side.CLIENT, "no more datagrams arrived; the direction is unknown")
            )
    if not outage.loss_runs:
        evidence += connection_evidence(observations)
    return (*evidence, *effects(outage))


def blocked_evidence(outage: Outage) -> Evidence:
    """Return the evidence of an outage in which this client's own kernel sent nothing."""
    return ((Side.CLIENT, "its own kernel sent none of them"), *effects(outage))


def doubt_evidence(outage: Outage, *, starved: bool) -> Evidence:
    """Return why an outage proves nothing about the network; nothing if it does."""
    if starved:
        text = f"one end was suspended or starved of CPU for {outage.starved_seconds:.1f} s of that time, which alone may explain the outage"
        return ((Side.CLIENT, text),)
    return tuple(
        (
            Side.SERVER if run.where == Location.TO_SERVER else Side.CLIENT,
            (
                f"{run.dropped} datagrams, from any sender, arrived meanwhile and "
                "were dropped: the receive buffer of its socket was full"
            ),
        )
        for run in outage.overflows
    )


def restart_evidence(restart: ServerRestart) -> Evidence:
    """Return how both processes of the server identified themselves."""
    old, new = (escape(boot_id)[:8] for boot_id in restart.boot_ids)
    before = f"the previous process had the boot ID {old}…"
    if restart.end_reason:
        before += f", and ended its stream: {escape(restart.end_reason)}"
    return (
        (Side.SERVER, before),
        (Side.SERVER, f"the current process has the boot ID {new}…"),
    )


def failure_evidence(observations: Observations, run: ConnectFailureRun) -> Evidence:
    """Return the evidence of new connections that failed."""
    first = (Side.CLIENT, f"the first of them failed with: {escape(run.reason)}")
    return (first, *connection_evidence(observations))


def stall_evidence(
    observations: Observations, *, starved: float | None = None
) -> Evidence:
    """Return the evidence of a stall; ``starved`` are the seconds that make it doubtful."""
    evidence = connection_evidence(observations)
    if starved is None:
        return evidence
    text = f"one end was suspended or starved of CPU for up to {starved:.1f} s of that time, which alone may explain it"
    return (*evidence, (Side.CLIENT, text))


def effects(outage: Outage) -> Evidence:
    """Return what an outage did to connections."""
    run, stall = outage.failure_run, outage.stall
    texts = []
    if run is not None:
        texts.append(
            f"{describe.count_failed(run.failed)}, over a period of {describe.bounds(run)} ({escape(run.reason)})"
        )
    elif outage.loss_runs:
        texts.append("all or nearly all new connections kept working")
    if stall is None:
        if outage.loss_runs:
            texts.append("the existing connection did not stall for long")
    elif stall.broken:
        texts.append(f"the existing connection broke: {escape(stall.broken)}")
    elif not stall.ended:
        texts.append("the existing connection has not recovered yet")
    else:
        texts.append(_recovery(outage, stall))
    return tuple((Side.CLIENT, text) for text in texts)


def _recovery(outage: Outage, stall: ConnectionStall) -> str:
    text = describe.stalled_for(stall)
    later = stall.end - outage.end
    if outage.loss_runs and later > _LATER_SECONDS:
        text += f": TCP took {later:.1f} s longer to recover"
    run = outage.failure_run
    if run is not None and run.ended and stall.end - run.end > _LATER_SECONDS:
        earlier = stall.end - run.end
        text += f"; new connections succeeded again {earlier:.1f} s before it recovered"
    return text


def connection_evidence(observations: Observations) -> Evidence:
    """Return what both ends report when only TCP was affected."""
    connection, datagrams = observations.long_lived, observations.datagrams
    client, server = [], []
    if connection.asked:
        text = (
            f"{connection.answered} of {connection.asked} requests on the existing "
            "connection were answered"
        )
        if connection.retransmits is not None:
            text += (
                f"; this kernel retransmitted {connection.retransmits} of its segments"
            )
        client.append((Side.CLIENT, text))
    if connection.server_report is not None:
        server.append((Side.SERVER, _server_report(connection.server_report)))
    if datagrams.passed:
        lost = datagrams.up.lost + datagrams.down.lost
        sent = datagrams.up.sent + datagrams.down.sent
        server.append(
            (
                Side.SERVER,
                (
                    f"its UDP stream never stopped: {lost} of {sent} datagrams were "
                    "lost, in both directions together"
                ),
            )
        )
    missing = (Side.SERVER, "no evidence is available from the server")
    return (*client, *(server or [missing]))


def count_retransmits(info: TcpInfo | None) -> str:
    """Return how many segments a kernel retransmitted: "1 segment"."""
    if info is None:
        return "an unknown number of segments"
    return f"{info.total_retrans} segment{'s' * (info.total_retrans != 1)}"


def _server_report(report: ServerReport) -> str:
    retransmits = count_retransmits(report.connection)
    return (
        f"its kernel retransmitted {retransmits} of the existing connection; the "
        f"server process was stalled for {report.host.stalled:.1f} s since it started"
    )
