"""Runs that are stopped or killed in the middle: nothing of them stays."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.containers.between.conftest import (
    Shop,
    between,
    finish,
    pair_containers,
    start,
)

WAIT_SECONDS = 80.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that the engine brings about."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def wait_for_client(shop: Shop, process: subprocess.Popen[str]) -> None:
    """Wait until a client runs beside web; fail at once if the run has ended."""

    def found_or_ended() -> bool:
        return runs_client(shop) or process.poll() is not None

    wait_until(found_or_ended)
    assert process.poll() is None, finish(process)


def runs_client(shop: Shop) -> bool:
    """Whether a client runs beside web."""
    found = pair_containers(shop.container("web"))
    return any(
        each.attrs["Path"] == "netduet" and "check" in each.attrs["Args"]
        for each in found
    )


def nothing_is_left(shop: Shop) -> bool:
    """Whether no container of ours is beside web and db."""
    return not any(pair_containers(shop.container(name)) for name in ("web", "db"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_run_with_what_is_known(shop: Shop, number: int) -> None:
    """The status is 3, the report has the results so far, and nothing is left."""
    process = start("web", "db", "-p", shop.name, "--profile", "full")
    wait_for_client(shop, process)
    process.send_signal(number)
    done = finish(process)
    assert done.status == 3, done.out + done.err
    assert "INCONCLUSIVE" in done.out + done.err or "stopped by a signal" in done.err
    assert nothing_is_left(shop)


def test_killed_run_is_cleared_away_by_the_next(shop: Shop) -> None:
    """A run that is killed with SIGKILL cannot; the next one finds it by its labels."""
    process = start("web", "db", "-p", shop.name, "--profile", "full")
    wait_for_client(shop, process)
    process.kill()
    finish(process)
    assert pair_containers(shop.container("db"))
    done = between("web", "db", "-p", shop.name, "--checks", "reach")
    assert done.status == 0, done.out + done.err
    assert "12346" not in done.out
    assert nothing_is_left(shop)


def test_living_run_is_left_alone(shop: Shop) -> None:
    """A second run at the same place uses another port, and both pass."""
    first = start(
        "web", "db", "-p", shop.name, "--checks", "stream", "--stream-time", "8s"
    )
    wait_for_client(shop, first)
    second = between("hidden", "db", "-p", shop.name, "--checks", "reach")
    assert first.poll() is None
    assert second.status == 0, second.out + second.err
    assert "port 12345 is taken beside db: the pair used 12346" in second.conclusion
    done = finish(first)
    assert done.status == 0, done.out + done.err
    assert nothing_is_left(shop)
