"""The command ``between``: runs the pair beside containers and reports the verdict."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netduet.between.errors import BetweenError
from netduet.between.pairs import project_pairs, service_listeners
from netduet.between.pod_session import PodSession, dry_run
from netduet.between.pods import Kubectl, pod_name
from netduet.between.progress import ProgressLine
from netduet.between.report import document, lines
from netduet.between.selection import grouped, project_places, requests, split_ports
from netduet.between.session import Request, Session
from netduet.client.report.terminal import columns, text_columns, writer

if TYPE_CHECKING:
    from netduet.between.options import Options
    from netduet.between.pair_result import PairResult
    from netduet.between.places import Place
    from netduet.client.report.json_report import ReportDocument


@dataclass(frozen=True, slots=True)
class Output:
    """Where the report goes, and in which form."""

    json_report: bool = False
    junit: str = ""
    color: str = "auto"


def between(
    client: str,
    services: Sequence[str],
    project: str,
    options: Options,
    output: Output,
) -> int:
    """Run the pair between a client and services; return the exit status.

    Without a client, between all pairs of a Compose project.

    Raises:
        BetweenError: the pair cannot be run.
    """
    with (
        ProgressLine(shown=not output.json_report) as progress,
        Session(options, progress.say) as session,
    ):
        places = session.places()
        if client:
            wanted = requests(client, services, places, project)
        else:
            progress.say("looking for pairs")
            wanted = _all_pairs(session, places, project)
        results = measure(session, wanted, places)
    if not results:
        raise KeyboardInterrupt
    return _finish(document(results), output)


def between_pods(
    words: Sequence[str],
    kubectl: Kubectl,
    options: Options,
    output: Output,
    *,
    dry: bool,
) -> int:
    """Run the pair between two pods, or print the commands; return the exit status.

    Raises:
        BetweenError: the pair cannot be run.
    """
    if len(words) != len(("client", "service")):
        raise BetweenError("between pods, name two: pod/CLIENT pod/SERVICE")
    service_word, ports = split_ports(words[1])
    client, service = pod_name(words[0]), pod_name(service_word)
    if dry:
        print("\n".join(dry_run(options, kubectl, client, service, ports)))
        return 0
    with ProgressLine(shown=not output.json_report) as progress:
        progress.say(f"checking from pod {client} to pod {service}")
        result = PodSession(options, kubectl).measure(client, service, ports)
    return _finish(document([result]), output)


def measure(
    session: Session, wanted: Sequence[Request], places: Sequence[Place]
) -> list[PairResult]:
    """Run the pair for each request, until a signal."""
    results: list[PairResult] = []
    for request in wanted:
        if not session.interrupted:
            results += session.measure(request, places)
    return results


def _all_pairs(
    session: Session, places: Sequence[Place], project: str
) -> list[Request]:
    chosen = [
        each
        for each in project_places(places, project)
        if each.network_mode not in {"host", "none"}
    ]
    listens = {
        each.id: any(not found.is_loopback for found in service_listeners(snapshot))
        for each, snapshot in zip(chosen, session.look(chosen), strict=True)
    }
    wanted = grouped(project_pairs(chosen, listens))
    if not wanted:
        raise BetweenError(
            f"project {chosen[0].project!r} has no pairs: no service depends on another, "
            "and none that listens on a TCP port shares a network with another"
        )
    return wanted


def _finish(report: ReportDocument, output: Output) -> int:
    if output.junit:
        from netduet.client.report import json_reader, junit  # noqa: PLC0415

        text = junit.document(json_reader.verdicts(report))
        Path(output.junit).write_text(text, "utf-8")
    if output.json_report:
        sys.stdout.write(report.model_dump_json(by_alias=True, indent=2) + "\n")
        sys.stdout.flush()
    else:
        writer(output.color)(lines(report, text_columns(), columns()))
    return report.exit_status
