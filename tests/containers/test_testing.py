"""``netduet.testing`` on the real engine: what it starts, reports, and removes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker
import pytest
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID
from testcontainers.core.network import Network

from netduet.between.engine import Image
from netduet.testing import Duet, DuetError, InconclusiveError
from netduet.testing.client import ended
from netduet.testing.engine import connect, require
from tests.containers.sandbox import Images, Sandbox, engine_handle

SOON = ("name", "reach", "identity")
SERVER_SETTINGS = {"service": "one", "port": 8080}
BUSY = (4.0, 30.0)
"""Seconds in which a process in a container begins its work; a busy machine needs more."""

NOWHERE = (
    "image 'netduet-nowhere' does not exist: build it with `make images` in netduet's "
    "repository, or set NETDUET_TESTING_X_IMAGE to another one"
)


@pytest.fixture(scope="module")
def pair(images: Images) -> Iterator[Duet]:
    """Return one pair for all tests that ask it in vain."""
    assert images
    with Network() as network, Duet(network) as duet:
        yield duet


def test_pair_passes_and_leaves_nothing(
    sandbox: Sandbox, engine: docker.DockerClient
) -> None:
    """All checks pass, and no container is left."""
    network = sandbox.network()
    here: dict[str, Any] = {"network": network.name}
    with Duet(network) as duet:
        report = duet.check("quick", checks=("size", "close"))
        report.assert_ok()
        assert list(report.checks) == [*SOON, "size", "close"]
        assert str(report).startswith(f"{duet.address}\n  PASS  name ")
        assert "server.ready" in duet.server_log()
        with pytest.raises(DuetError, match="already started"):
            duet.start()
        [server] = engine.containers.list(all=True, filters=here)
        assert server.labels[LABEL_SESSION_ID] == SESSION_ID
    assert engine.containers.list(all=True, filters=here) == []


def test_service_of_the_user_is_a_target(sandbox: Sandbox) -> None:
    """What answers is recognised; what does not respond at all fails."""
    network = sandbox.network()
    listens = [
        "python3",
        "-c",
        "import socket; socket.create_connection(('localhost', 8000))",
    ]
    web = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8000)"
    sandbox.python(network, web, alias="web", wait=listens)
    mute = "import socket; s = socket.create_server(('', 7000)); k = []\nwhile True: "
    sandbox.python(network, mute + "k.append(s.accept())", alias="mute")
    with Duet(network) as duet:
        duet.check(target="web:8000", checks=("path",)).assert_ok()
        duet.check(target="web:8000/http", checks=("path",)).assert_ok()
        duet.check(target="mute:7000/tcp", checks=("path",)).assert_ok()
        report = duet.check(target="mute:7000", checks=("path",))
        report.assert_fails("identity.silent")
        report = duet.check(target="web:8000", expect_service="*", checks=("path",))
        report.assert_fails("identity.not_netduet")
        report = duet.check("quick", target="web:8000/http", checks=("udp",))
        with pytest.raises(InconclusiveError, match="udp"):
            report.assert_ok()


def test_failing_test_leaves_nothing(
    sandbox: Sandbox, engine: docker.DockerClient
) -> None:
    """Whatever a test raises, the server is removed."""
    network = sandbox.network()
    with pytest.raises(KeyboardInterrupt), Duet(network):
        raise KeyboardInterrupt
    here: dict[str, Any] = {"network": network.name}
    assert engine.containers.list(all=True, filters=here) == []


def test_network_may_be_a_name_or_an_id(
    sandbox: Sandbox, engine: docker.DockerClient
) -> None:
    """A network made without testcontainers works too, also for parallel pairs."""
    network = sandbox.network()
    assert network.id is not None
    found = engine.networks.get(network.id)
    with (
        Duet(
            network.id, client_network=network.name, server_settings=SERVER_SETTINGS
        ) as duet,
        Duet(found, alias="two", server_settings={"service": "two"}) as second,
    ):
        duet.check(checks=SOON).assert_ok()
        report = duet.check(target=second.address, checks=SOON)
    assert second.address == "two:12345"
    assert "two" in report.assert_fails("identity.other_service").seen


def test_fault_made_by_a_test_is_found(sandbox: Sandbox) -> None:
    """The server's container is paused: the finding is that nothing answers."""
    with Duet(sandbox.network()) as duet:
        engine_handle(duet.server).pause()
        report = duet.check(checks=SOON, answer_timeout="500ms")
    report.assert_fails("identity.silent")
    with pytest.raises(AssertionError, match="FAIL: connection accepted, but no"):
        report.assert_ok()


def test_client_timeout_error_has_the_results_so_far(sandbox: Sandbox) -> None:
    """The client is stopped, and its findings are in the error."""
    with Duet(sandbox.network()) as duet:
        engine_handle(duet.server).pause()
        for seconds in BUSY:
            with pytest.raises(DuetError) as caught:
                duet.check(checks=SOON, answer_timeout=60.0, timeout=seconds)
            message = str(caught.value)
            assert message.startswith(f"the client did not exit within {seconds:g} s\n")
            if "PASS  reach" in message:
                break
    assert "PASS  reach" in message
    assert "INCONCLUSIVE: interrupted before all checks" in message


def test_server_start_failure_has_exit_status_and_log(sandbox: Sandbox) -> None:
    """The error has the exit status and the end of the log."""
    duet = Duet(sandbox.network(), server_settings={"host": "192.0.2.1"})
    with pytest.raises(DuetError, match="the server ended with status 2\n") as caught:
        duet.start()
    assert "192.0.2.1" in str(caught.value)


def test_unhealthy_server_error_has_health_check_and_log(sandbox: Sandbox) -> None:
    """The error has the health check's output and the end of the log."""
    network = sandbox.network()
    for seconds in BUSY:
        # It then takes a free port, of which its health check does not know.
        duet = Duet(network, server_settings={"port": 0}, ready_timeout=seconds)
        with pytest.raises(DuetError) as caught:
            duet.start()
        message = str(caught.value)
        assert f"not respond after {seconds:g} s: unhealthy" in message
        if "server.listening" in message:
            break
    assert "server.listening" in message


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("exit('broken')", "status 1 and without a readable report\nbroken"),
        ("print('{}')", "status 0 and without a readable report\n"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "status 137 (killed: out of memory?) and without a readable report",
        ),
    ],
)
def test_client_crash_error_has_status_and_stderr(
    sandbox: Sandbox, program: str, expected: str
) -> None:
    """A client without a report is never a verdict."""
    client = sandbox.python(None, program)
    with pytest.raises(DuetError) as caught:
        ended(client, 30.0, ())
    assert str(caught.value).startswith(f"the client exited with {expected}")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"chekcs": ("size",)},
            "chekcs: no setting has this name: did you mean checks",
        ),
        ({"profile": "fast"}, "profile=fast: must be quick, full or soak"),
        ({"target": "a:b"}, "target=a:b: target 'a:b': the port must be a number"),
        ({"answer_timeout": 0}, "answer_timeout=0: must be more than 0s"),
        ({"junit": "x"}, "junit: not a setting of a check in a test"),
        (
            {"checks": "siz"},
            "the client rejected its arguments: netduet: check 'siz'",
        ),
    ],
)
def test_invalid_check_setting_is_named(
    pair: Duet, settings: dict[str, object], expected: str
) -> None:
    """One line says which setting, which value, and what is valid."""
    with pytest.raises(DuetError) as caught:
        pair.check(**settings)  # type: ignore[arg-type]
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (
            "netduet-nowhere",
            "network 'netduet-nowhere' does not exist: create it first",
        ),
        (
            "bridge",
            "network 'bridge' is the engine's default network and resolves no names",
        ),
    ],
)
@pytest.mark.usefixtures("images")
def test_unusable_network_is_named(network: str, expected: str) -> None:
    """One line says which network, and how to make one."""
    with pytest.raises(DuetError) as caught:
        Duet(network).start()
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (
            Image(
                "netduet-nowhere", is_default=True, variable="NETDUET_TESTING_X_IMAGE"
            ),
            NOWHERE,
        ),
        (
            Image("127.0.0.1:9/nowhere:1", is_default=False, variable="X"),
            "image '127.0.0.1:9/nowhere:1' does not exist here and cannot be pulled: ",
        ),
    ],
)
@pytest.mark.usefixtures("engine")
def test_missing_image_is_named(image: Image, expected: str) -> None:
    """One line says which image, and how to build it; ours is never pulled."""
    with pytest.raises(DuetError) as caught:
        require(connect(), image)
    assert str(caught.value).startswith(expected)


def test_swapped_image_is_named(sandbox: Sandbox) -> None:
    """The image of the wrong program says which one it is."""
    with (
        Duet(sandbox.network(), client_image=sandbox.images.server) as duet,
        pytest.raises(DuetError, match="contains only the server;"),
    ):
        duet.check()
