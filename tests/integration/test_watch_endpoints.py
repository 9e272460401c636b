"""``netduet watch`` with a service account: addresses come from EndpointSlices."""

from __future__ import annotations

from pathlib import Path

from tests.integration.conftest import ServeCommand
from tests.integration.servers import NetduetCommand
from tests.integration.test_admin import free_port
from tests.integration.test_watch import WatchProcess
from tests.unit.client.endpoint_server import (
    STARTING,
    endpoint,
    endpoint_slice,
    forbidden,
    running_endpoint_server,
)


def test_watch_follows_endpoint_slices_and_falls_back_to_dns(
    netduet: NetduetCommand, serve_command: ServeCommand, tmp_path: Path
) -> None:
    """A pod that becomes ready is watched; without permission, DNS is used meanwhile."""
    port = free_port()
    serve_command(port=port)
    with running_endpoint_server(tmp_path) as api:
        api.slices = [endpoint_slice(endpoint("127.0.0.1", **STARTING))]
        process = netduet.start(
            "watch",
            f"netduet-mesh:{port}",
            "--watch-resolve-interval",
            "1s",
            "--watch-service-account",
            str(api.account.folder),
            env=dict(api.account.environment),
        )
        watching = WatchProcess(process)
        watching.wait("no endpoint of Service netduet/netduet-mesh is ready")
        first, second = endpoint("127.0.0.1"), endpoint("127.0.0.2")
        api.slices = [endpoint_slice(first)]
        watching.wait(rf"\+ +now watching 127\.0\.0\.1:{port} ")
        api.slices = [endpoint_slice(first, second)]
        watching.wait(rf"\+ +now watching 127\.0\.0\.2:{port} ")
        api.answer = forbidden()
        line = watching.wait(r"note .*netduet-mesh")
        assert "its EndpointSlices cannot be read (HTTP 403: " in line
        assert "DNS is used" in line
        api.answer = None
        watching.wait("its EndpointSlices are read")
        summary = watching.stop()
    assert summary.count("cannot be read") == 1
    assert "no outages" in summary


def test_first_lookup_waits_for_the_start_delay(
    netduet: NetduetCommand, serve_command: ServeCommand
) -> None:
    """Names are not looked up before; then all is as usual."""
    port = free_port()
    serve_command(port=port)
    watching = WatchProcess(
        netduet.start("watch", f"127.0.0.1:{port}", "--watch-start-delay", "1h")
    )
    watching.wait("WATCH")
    assert "now watching" not in watching.stop()
    watching = WatchProcess(
        netduet.start("watch", f"127.0.0.1:{port}", "--watch-start-delay", "200ms")
    )
    watching.wait("now watching")
    watching.stop()
