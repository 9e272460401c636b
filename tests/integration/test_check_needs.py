"""What applications need decides: proxies that carry only TCP, and needs of all kinds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.conftest import ServeCommand
from tests.integration.foreign_servers import Behaviour, closed_port, foreign_server
from tests.integration.proxies import (
    change_large_pieces,
    close_at_first_fin,
    end_idle_connections,
    forward_all,
    truncate_answer,
    turn_resets_into_fins,
)
from tests.integration.servers import NetduetCommand, unwrapped
from tests.integration.services import serve_http, service

Proxy = Callable[[int], Behaviour]

Expected = tuple[int, set[str], set[str]]
"""Exit status, classes of failures, classes of notes."""

CHECKS = "--checks=path,size,udp,close"


def target_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the only target of a document."""
    [target] = json.loads(done.stdout)["targets"]
    assert isinstance(target, dict)
    return target


def classes(target: dict[str, Any], kind: str) -> set[str]:
    """Return the classes of all findings, or of all notes."""
    return {found["class"] for check in target["checks"] for found in check[kind]}


@pytest.mark.parametrize(
    ("proxy", "words", "expected"),
    [
        # The default: what no TCP proxy promises is a note.
        (turn_resets_into_fins, (), (0, set(), {"udp.rejected", "close.reset_hidden"})),
        (
            close_at_first_fin,
            (),
            (0, set(), {"udp.rejected", "close.reset_hidden", "close.half_close"}),
        ),
        # Nothing shows that this one is no NAT.
        (forward_all, (), (1, {"udp.rejected"}, set())),
        # What is needed fails, and the rest is a note.
        (forward_all, ("--for=http",), (0, set(), {"udp.rejected"})),
        (
            close_at_first_fin,
            ("--need=half-close",),
            (1, {"close.half_close"}, {"udp.rejected", "close.reset_hidden"}),
        ),
        (
            turn_resets_into_fins,
            ("--need=half-close",),
            (0, set(), {"udp.rejected", "close.reset_hidden"}),
        ),
        (
            turn_resets_into_fins,
            ("--for=dns", "--need=reset"),
            (1, {"udp.rejected", "close.reset_hidden"}, set()),
        ),
        (
            turn_resets_into_fins,
            ("--for=everything",),
            (1, {"udp.rejected", "close.reset_hidden"}, set()),
        ),
    ],
)
def test_only_what_is_needed_fails(
    serve_command: ServeCommand,
    netduet: NetduetCommand,
    proxy: Proxy,
    words: tuple[str, ...],
    expected: Expected,
) -> None:
    """Status and document agree; notes have their consequence."""
    with foreign_server(proxy(serve_command().port)) as found:
        done = netduet.run("check", "--json", CHECKS, *words, f"127.0.0.1:{found.port}")
    target = target_of(done)
    found_classes = (classes(target, "findings"), classes(target, "notes"))
    assert (done.returncode, *found_classes) == expected
    assert target["proxied"] is (not words and done.returncode == 0)


@pytest.mark.parametrize("words", [(), ("--for=http",), ("--need=tcp",)])
@pytest.mark.parametrize(
    ("proxy", "failure"),
    [
        (change_large_pieces, "size.changed"),
        (lambda port: truncate_answer(port, 1000), "close.answer_cut"),
    ],
)
def test_changed_or_lost_data_fails_whatever_is_needed(
    serve_command: ServeCommand,
    netduet: NetduetCommand,
    proxy: Proxy,
    failure: str,
    words: tuple[str, ...],
) -> None:
    """A proxy is no excuse, and neither are needs."""
    with foreign_server(proxy(serve_command().port)) as found:
        done = netduet.run("check", "--json", CHECKS, *words, f"127.0.0.1:{found.port}")
    assert done.returncode == 1
    assert failure in classes(target_of(done), "findings")


def test_direct_path_without_udp_fails(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """Nothing stands in between, so its lack is a fault; needs can excuse it."""
    target = f"127.0.0.1:{serve_command(udp=False).port}"
    done = netduet.run("check", "--json", CHECKS, target)
    assert (done.returncode, classes(target_of(done), "findings")) == (
        1,
        {"udp.rejected"},
    )
    assert netduet.run("check", CHECKS, "--need=tcp", target).returncode == 0


def test_notes_are_shown_where_they_were_found(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """In the row of their check, which passes; the verdict claims TCP alone."""
    with foreign_server(close_at_first_fin(serve_command().port)) as found:
        done = netduet.run("check", CHECKS, f"127.0.0.1:{found.port}")
    output = unwrapped(done)
    assert "PASS udp no response to datagrams" in output
    assert "wait will lose the answer here" in output
    assert "[close.half_close]" in output
    assert output.endswith(
        f"PASS: the network between here and 127.0.0.1:{found.port} works through a "
        "TCP proxy; "
        "the notes say what it does not carry"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--need=idle=200ms",), (0, set(), set())),
        (("--need=idle=200ms", "--idle-rungs=1s"), (0, set(), {"idle.closed"})),
        (("--need=idle=1s",), (1, {"idle.closed"}, set())),
        (("--idle-rungs=1s",), (1, {"idle.closed"}, set())),
        (("--idle-rungs=1s", "--for=http"), (0, set(), {"idle.closed"})),
    ],
)
def test_silence_is_needed_for_a_time(
    serve_command: ServeCommand,
    netduet: NetduetCommand,
    words: tuple[str, ...],
    expected: Expected,
) -> None:
    """The needed time is tested, in profile quick too; what dies later is a note."""
    with foreign_server(end_idle_connections(serve_command().port, "fin")) as found:
        done = netduet.run(
            "check", "--json", "--checks=idle", *words, f"127.0.0.1:{found.port}"
        )
    target = target_of(done)
    found_classes = (classes(target, "findings"), classes(target, "notes"))
    assert (done.returncode, *found_classes) == expected


@pytest.mark.parametrize(
    ("words", "unmet"),
    [
        (("--checks=size", "--need=udp"), ["udp"]),
        (("--checks=idle", "--need=idle=1h"), ["idle=1h"]),
    ],
)
def test_need_that_cannot_be_tested_is_no_pass(
    serve_command: ServeCommand,
    netduet: NetduetCommand,
    words: tuple[str, ...],
    unmet: list[str],
) -> None:
    """Its check is not chosen, or the server does not hold connections so long."""
    target = f"127.0.0.1:{serve_command(hold_timeout=60).port}"
    done = netduet.run("check", "--json", *words, target)
    assert (done.returncode, target_of(done)["unmet_needs"]) == (3, unmet)


def test_service_cannot_show_what_only_netduet_tests(netduet: NetduetCommand) -> None:
    """One line says which needs, and what can test them."""
    with service(serve_http()) as found:
        done = netduet.run(
            "check", "--answer-timeout=1s", "--need=udp,reset", found.target
        )
        passed = netduet.run("check", "--answer-timeout=1s", "--for=http", found.target)
    assert (done.returncode, passed.returncode) == (3, 0)
    assert unwrapped(done).endswith(
        "needed, but not proven: udp, reset (needs netduet-server beside the service)"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--need", "idle"),
            "netduet: --need idle: 'idle' needs a value, as in idle=10m",
        ),
        (
            ("--need", "upd"),
            (
                "netduet: --need upd: 'upd' is no need; the needs are tcp, udp, "
                "half-close, reset, idle=10m, rate=100M"
            ),
        ),
        (
            ("--for", "web"),
            (
                "netduet: --for web: 'web' is unknown; the known ones are http, "
                "database, dns, everything"
            ),
        ),
    ],
)
def test_invalid_need_is_a_one_line_error(
    netduet: NetduetCommand, words: tuple[str, ...], line: str
) -> None:
    """It names the flag, its value and what would be valid."""
    done = netduet.run("check", *words, "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [line]


@pytest.mark.parametrize(
    ("rate", "statuses", "failures"),
    [("1M", {0}, set()), ("900G", {1, 3}, {"load.slow"})],
)
def test_rate_is_needed_in_each_direction(
    serve_command: ServeCommand,
    netduet: NetduetCommand,
    rate: str,
    statuses: set[int],
    failures: set[str],
) -> None:
    """A rate that is not reached fails, or proves nothing if an end is the limit."""
    target = f"127.0.0.1:{serve_command().port}"
    words = ("--checks=load", f"--need=rate={rate}", target)
    done = netduet.run("check", "--json", *words)
    assert classes(target_of(done), "findings") == failures
    assert done.returncode in statuses


def test_blocked_target_has_no_needs(netduet: NetduetCommand) -> None:
    """A target that must not be reached has nothing that applications use."""
    with closed_port() as target:
        done = netduet.run("check", "--json", "--need=udp,idle=1h", f"{target}=blocked")
    assert (done.returncode, target_of(done)["needs"]) == (0, [])


def test_needs_come_from_the_environment(
    serve_command: ServeCommand, netduet: NetduetCommand
) -> None:
    """As compose passes them; waiting does not take a need for unmet."""
    environment = {"NETDUET_CLIENT_NEED": "tcp", "NETDUET_CLIENT_PURPOSE": "dns"}
    target = f"127.0.0.1:{serve_command().port}"
    done = netduet.run(
        "check", "--json", "--checks=udp", "--wait=20s", target, env=environment
    )
    assert (done.returncode, target_of(done)["needs"]) == (0, ["tcp", "udp"])
    assert done.stderr == ""
