"""``netduet between`` on a Compose project: what it says, and what it leaves as it was."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree as ET

import docker
import pytest

from netduet.testing import Duet, DuetError
from tests.containers.between.conftest import Shop, between, pair_containers
from tests.containers.sandbox import Images, Sandbox, engine_handle

MAX_SECONDS = 40
"""Seconds that the whole battery may take on a busy machine; 10 on an idle one."""

TAKEN = """
import socket, time
first, second = socket.create_server(("", 12345)), socket.create_server(("", 8080))
silent = socket.socket()
silent.bind(("", 12346))  # does not listen: no file of /proc/net shows it
while True:
    connection, _ = second.accept()
    connection.sendall(b"ready\\n")
    connection.close()
"""


STUCK = """
import socket, time
listener = socket.create_server(("", 8080), backlog=1)
waiting = []
for _ in range(6):
    waiting.append(socket.socket())
    waiting[-1].setblocking(False)
    waiting[-1].connect_ex(("127.0.0.1", 8080))
time.sleep(3600)
"""
"""A service that accepts nothing, and fills its accept queue by itself."""


def state(container: Any) -> dict[str, Any]:
    """Return what must not change of a container."""
    container.reload()
    attributes: dict[str, Any] = container.attrs
    return {
        "state": attributes["State"],
        "networks": attributes["NetworkSettings"],
        "changes": container.diff(),
        "processes": [row[-1] for row in container.top()["Processes"]],
    }


@contextmanager
def rule(container: Any, port: int, verdict: str) -> Iterator[None]:
    """Drop or reject the SYNs to a port in the namespace of a container."""
    container.reload()
    enter = ["nsenter", "-t", str(container.attrs["State"]["Pid"]), "-n", "iptables"]
    match = ["INPUT", "-p", "tcp", "--dport", str(port), "-j", *verdict.split()]
    subprocess.run([*enter, "-I", *match], check=True, timeout=30)
    try:
        yield
    finally:
        subprocess.run([*enter, "-D", *match], check=True, timeout=30)


def test_whole_battery_passes_and_changes_nothing(shop: Shop, tmp_path: Any) -> None:
    """Both targets pass; both containers are as they were, and ours are gone."""
    places = [shop.container("web"), shop.container("db")]
    before = [state(each) for each in places]
    junit = tmp_path / "junit.xml"
    begin = time.monotonic()
    done = between("web", "db", "-p", shop.name, "--json", "--junit", str(junit))
    seconds = time.monotonic() - begin
    assert (done.status, done.err) == (0, "")
    report = done.document
    assert report["outcome"] == "PASS"
    [pair] = report["between"]
    assert pair["conclusion"] == (
        "the network between web and db works, and db:8080 is reachable"
    )
    assert pair["path_targets"] == ["db:12345"]
    checks = {check["name"]: check for check in report["targets"][0]["checks"]}
    assert len(checks) == 13
    assert checks["identity"]["summary"].count("netduet-between-")
    assert {each["client"] for each in report["targets"]} == {"web"}
    listeners = {each["port"] for each in pair["before"]["listeners"]}
    assert 8080 in listeners
    assert 12345 not in listeners
    assert [suite.get("name") for suite in ET.parse(junit).getroot()] == [
        "netduet web → db:12345",
        "netduet web → db:8080",
    ]
    assert [state(each) for each in places] == before
    assert [pair_containers(each) for each in places] == [[], []]
    assert seconds < MAX_SECONDS


def test_service_on_loopback_is_named(shop: Shop) -> None:
    """The network works, and the service itself is at fault."""
    done = between("web", "hidden", "-p", shop.name, "--checks", "reach")
    assert done.status == 1
    assert done.conclusion == (
        "FAIL: the network between web and hidden works, but hidden:8080 is not "
        "reachable: hidden listens on 127.0.0.1:8080 alone: nothing outside its "
        "container can reach it; make it listen on 0.0.0.0"
    )
    assert "where          server (the server's end)" in done.out


def test_services_without_a_shared_network_are_told_so(shop: Shop) -> None:
    """The conclusion has the command that connects them."""
    words = ("--checks", "reach", "--connect-timeout", "1s")
    done = between("web", "away", "-p", shop.name, *words)
    assert done.status == 1
    assert f"web (on {shop.name}_front) and away (on {shop.name}_back) share no n" in (
        done.conclusion
    )
    assert f"docker network connect {shop.name}_back" in done.conclusion


@pytest.mark.parametrize(
    ("port", "verdict", "expected"),
    [
        (
            8080,
            "DROP",
            (
                "db:8080 is not reachable although db listens on 0.0.0.0:8080: a policy or "
                "firewall drops port 8080 and lets port 12345 through"
            ),
        ),
        (
            8080,
            "REJECT --reject-with tcp-reset",
            (
                "db:8080 is not reachable although db listens on 0.0.0.0:8080: a policy or "
                "firewall refuses port 8080 and lets port 12345 through"
            ),
        ),
        (
            12345,
            "DROP",
            (
                "FAIL: db:8080 is reachable, but db:12345 is not, where netduet-server "
                "listens beside it: a policy allows single ports; name an allowed port"
            ),
        ),
    ],
)
def test_policy_for_one_port_is_told_from_a_broken_network(
    shop: Shop, port: int, verdict: str, expected: str
) -> None:
    """The pair's port and the service's are judged apart."""
    with rule(shop.container("db"), port, verdict):
        words = ("--checks", "reach", "--connect-timeout", "1s")
        done = between("web", "db:8080", "-p", shop.name, *words)
    assert done.status == 1
    assert expected in done.conclusion


def test_port_that_is_taken_is_avoided(sandbox: Sandbox) -> None:
    """By default with a note; a port that was named is an error."""
    network = sandbox.network()
    web = sandbox.python(network, "import time; time.sleep(3600)")
    db = sandbox.python(network, TAKEN, alias="db")
    names = [engine_handle(each).name for each in (web, db)]
    done = between(names[0], f"{names[1]}:8080", "--checks", "reach")
    assert done.status == 0, done.out + done.err
    assert (
        f"port 12345 is taken beside {names[1]}: the pair used 12347" in done.conclusion
    )
    assert "db:8080 accepts connections" in done.out
    done = between(*names, "--checks", "reach", "--port", "12345")
    assert done.status == 2
    assert done.err.startswith(f"netduet: --port 12345: {names[1]} listens there alr")
    done = between(
        names[0], f"{names[1]}:8080", "--checks", "reach", "--port", "0", "-J"
    )
    assert done.status == 0
    [target] = done.document["between"][0]["path_targets"]
    assert target.startswith("db:")
    assert target != "db:12345"


def test_full_accept_queue_is_told_from_a_policy(sandbox: Sandbox) -> None:
    """SYNs vanish in both cases; the counters of the far end tell them apart."""
    network = sandbox.network()
    web = sandbox.python(network, "import time; time.sleep(3600)")
    db = sandbox.python(network, STUCK, alias="db")
    names = [engine_handle(each).name for each in (web, db)]
    words = ("--checks", "reach", "--connect-timeout", "2s", "--json")
    done = between(names[0], f"{names[1]}:8080", *words)
    assert done.status == 1, done.out + done.err
    [pair] = done.document["between"]
    assert (
        "db:8080 is not reachable: its accept queue is full (2 connections wait"
        in (pair["conclusion"])
    )
    waiting = f"2 connections wait in the accept queue of {names[1]}:8080: "
    assert [note for note in pair["notes"] if note.startswith(waiting)]


def test_all_pairs_of_a_project_are_one_matrix(shop: Shop) -> None:
    """Who shares a network with a service that listens is its client."""
    done = between("--all", "-p", shop.name, "--checks", "reach")
    assert done.status == 0, done.out + done.err
    shown = [line.split()[:3] for line in done.out.splitlines()]
    for client in ("web", "hidden"):
        assert [client, "→", "db:8080"] in shown
    assert done.out.rstrip().endswith("2 pairs: 2 PASS")
    done = between("--all", "-p", "nowhere")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("netduet: project 'nowhere' has no running containers")


def test_testing_measures_between_containers_of_any_kind(
    sandbox: Sandbox, engine: docker.DockerClient
) -> None:
    """Of testcontainers, of docker-py, or by name; the report is the usual one."""
    network = sandbox.network()
    web = sandbox.python(network, "import time; time.sleep(3600)")
    db = sandbox.python(network, TAKEN, alias="db")
    other = engine.containers.get(engine_handle(db).id)
    report = Duet.between(web, other, ports=[8080], checks=("reach",))
    report.assert_ok()
    assert [target.target for target in report.targets] == ["db:12347", "db:8080"]
    assert "the network between" in str(report)
    assert other.name is not None
    with pytest.raises(DuetError, match="listens there already"):
        Duet.between(web, other.name, port=12345)
    with pytest.raises(DuetError, match="expect_service: not a setting"):
        Duet.between(web, db, expect_service="x")


def test_bad_place_has_one_line_with_a_remedy(
    shop: Shop, sandbox: Sandbox, images: Images
) -> None:
    """Nothing is started, and the status is 2."""
    host = sandbox.python(None, "import time; time.sleep(3600)", network_mode="host")
    ended = sandbox.python(None, "pass")
    ended.wait()
    names = {
        name: engine_handle(each).name for name, each in (("h", host), ("e", ended))
    }
    in_shop = ("-p", shop.name)
    for words, expected in (
        (
            ("web", "hiden", *in_shop),
            "container 'hiden' does not exist: did you mean hid",
        ),
        (
            ("web", str(names["h"]), *in_shop),
            f"container {names['h']} uses the host's n",
        ),
        (
            ("web", str(names["e"]), *in_shop),
            f"container {names['e']} is not running (ex",
        ),
        (
            ("web", "db:x", *in_shop),
            "service 'db:x': a port must be a number from 1 to 6",
        ),
        (("web",), "web and what? name two containers: netduet between web SERVICE"),
        ((), "no containers: name two, CLIENT and SERVICE, or use --all -p PROJECT"),
        (
            ("web", "db", *in_shop, "--checks", "siz"),
            "check 'siz': no such check; the ch",
        ),
        (
            ("web", "db", *in_shop, "--junit", "/x/y"),
            "junit /x/y: cannot be written: No",
        ),
        (
            ("web", "db", *in_shop, "--server-image", "netduet-nowhere"),
            "image 'netduet-nowhere' does not exist: build it with `make images` in",
        ),
        (
            ("web", "db", *in_shop, "--server-image", images.client),
            "netduet-server beside db ended: netduet: this image contains only the clie",
        ),
    ):
        done = between(*words)
        assert (done.status, done.out) == (2, ""), words
        assert done.err.startswith(f"netduet: {expected}")
        assert done.err.count("\n") == 1
    done = between("web", "db", DOCKER_HOST="unix:///nowhere.sock")
    assert done.status == 2
    assert done.err == (
        "netduet: no container engine responds at unix:///nowhere.sock: start Docker, or "
        "set DOCKER_HOST\n"
    )
