"""Containers, namespaces and reports of a small shop, as the engine would show them."""

from __future__ import annotations

from typing import Any

from netduet.between.pair_result import PairResult
from netduet.between.pairs import Route
from netduet.between.places import Attachment, Place
from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.report import json_report
from netduet.client.report.json_report import ReportDocument
from netduet.client.results.starvation import Starvation
from netduet.client.results.verdict import (
    CheckResult,
    Finding,
    Outcome,
    Verdict,
)
from netduet.net.namespace.snapshot import (
    InterfacePart,
    ListenerPart,
    RoutePart,
    Snapshot,
)

DB_ADDRESS = "172.18.0.3"
WEB = Place(
    "aaaa1111",
    "shop_web_1",
    (Attachment("shop", ("172.18.0.2",), ("web", "aaaa1111")),),
    service="web",
    project="shop",
)
DB = Place(
    "bbbb2222",
    "shop_db_1",
    (Attachment("shop", (DB_ADDRESS,), ("db", "bbbb2222")),),
    service="db",
    project="shop",
    exposed=(5432,),
)


def inspected(name: str, **changes: Any) -> dict[str, Any]:
    """Return what the engine says of a container (GET /containers/{id}/json)."""
    labels = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": name,
        "com.docker.compose.container-number": "2",
        "com.docker.compose.depends_on": "db:service_started:false,cache:service_healthy:true",
    }
    network = {
        "IPAddress": DB_ADDRESS,
        "GlobalIPv6Address": "",
        "Aliases": [name, "bbbb2222"],
    }
    return {
        "Id": "bbbb2222",
        "Name": f"/shop_{name}_2",
        "State": {
            "Status": "running",
            "Running": True,
            "Paused": False,
            "ExitCode": 0,
            "StartedAt": "2026-01-01T00:00:00Z",
        },
        "Config": {"Labels": labels, "ExposedPorts": {"5432/tcp": {}, "53/udp": {}}},
        "HostConfig": {"NetworkMode": "shop"},
        "NetworkSettings": {"Networks": {"shop": network}},
        **changes,
    }


def listener(address: str, port: int, queue: int = 0) -> ListenerPart:
    """Return a TCP listener."""
    return ListenerPart(
        transport="tcp", address=address, port=port, queue=queue, uid=999
    )


def snapshot(
    *listeners: ListenerPart,
    overflows: int = 0,
    drops: int = 0,
    mtu: int = 1500,
    route: str = "172.18.0.0/16",
) -> Snapshot:
    """Return a namespace with one interface."""
    interface = InterfacePart(
        name="eth0",
        mtu=mtu,
        addresses=[],
        received_drops=drops,
        sent_drops=0,
        received_errors=0,
        sent_errors=0,
    )
    link = RoutePart(destination=route, gateway="", interface="eth0", metric=0)
    return Snapshot(
        listeners=list(listeners),
        interfaces=[interface],
        routes=[link],
        listen_overflows=overflows,
        listen_drops=overflows,
    )


def verdict(target: str, failure: str = "") -> Verdict:
    """Return a verdict: PASS, or FAIL with one finding of this class."""
    check = failure.partition(".")[0] or "reach"
    outcome = Outcome.FAIL if failure else Outcome.PASS
    findings = (Finding(failure, f"{target} failed"),) if failure else ()
    result = CheckResult(check, "?", outcome, "summary", findings=findings)
    root = findings[0] if findings else None
    return Verdict(target, outcome, (result,), root, check if root else None, ())


def report(*verdicts: Verdict) -> ReportDocument:
    """Return verdicts as a client's report."""
    assert all(each.root is None or each.root.failure in CATALOGUE for each in verdicts)
    text = json_report.document(verdicts, Starvation(0, 0.0, None))
    return ReportDocument.model_validate_json(text)


def pair_result(
    path: ReportDocument, services: ReportDocument | None = None, **changes: Any
) -> PairResult:
    """Return what was measured between web and db."""
    before = changes.pop("before", snapshot(listener("0.0.0.0", 5432)))
    values: dict[str, Any] = {
        "client": WEB,
        "service": DB,
        "route": Route(("db",), ("shop",)),
        "port": 12345,
        "path": path,
        "services": services,
        "before": before,
        "after": changes.pop("after", before),
        "near": snapshot(),
        **changes,
    }
    return PairResult(**values)
