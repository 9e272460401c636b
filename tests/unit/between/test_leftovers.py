"""Whether the run that started a container is still alive."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from netduet.between.leftovers import (
    Owner,
    extended,
    is_alive,
    new_run,
    start_time,
    this_process,
)

NOW = 1_000_000.0
HERE = Owner("boot", "pid:[1]", "7", "100")


def labels(owner: Owner | str, until: str = f"{NOW:.0f}") -> dict[str, str]:
    """Return the labels of a container."""
    return {"io.netduet.between.owner": str(owner), "io.netduet.between.until": until}


def test_run_of_this_process_is_alive() -> None:
    """Whatever its labels say about the time."""
    run = new_run(max_seconds=-10_000.0)
    assert is_alive(run.labels, this_process(), time.time())
    assert run.service.startswith("netduet-between-")


def test_run_of_a_process_that_was_killed_is_dead() -> None:
    """It is looked up by its id and its start, so that a later process with its id is not it."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE
    ) as process:
        here = this_process()
        start = start_time(str(process.pid))
        assert start is not None
        owner = Owner(here.boot, here.namespace, str(process.pid), start)
        successor = Owner(here.boot, here.namespace, str(process.pid), "1")
        assert is_alive(labels(owner), here, NOW)
        assert not is_alive(labels(successor), here, NOW)
        process.kill()
    assert not is_alive(labels(owner), here, NOW)


def test_process_that_was_not_reaped_is_dead(tmp_path: Path) -> None:
    """It runs no more: state Z (proc(5)); the name of a program may hold anything."""
    stat = tmp_path / "7/stat"
    stat.parent.mkdir()
    fields = " ".join(map(str, range(4, 22)))
    for state, expected in (("S", "100"), ("Z", None)):
        stat.write_text(f"7 (a ) b) {state} {fields} 100 0 0\n")
        assert start_time("7", tmp_path) == expected
    stat.write_text("7 (cut) S 1 2\n")
    assert start_time("7", tmp_path) is None


@pytest.mark.parametrize(
    ("boot", "namespace"), [("other", "pid:[1]"), ("boot", "pid:[2]")]
)
def test_run_elsewhere_is_alive_until_its_time_is_over(
    boot: str, namespace: str
) -> None:
    """Another host, or another container with the engine's socket; clocks may differ."""
    elsewhere = Owner(boot, namespace, "7", "100")
    assert is_alive(labels(elsewhere), HERE, NOW + 299)
    assert not is_alive(labels(elsewhere), HERE, NOW + 301)


@pytest.mark.parametrize("until", ["", "soon"])
def test_labels_that_cannot_be_read_are_those_of_a_dead_run(until: str) -> None:
    """They are ours by their name, and no run of this version writes them."""
    assert not is_alive(labels("nobody", until), HERE, NOW)


def test_extended_run_keeps_its_id() -> None:
    """Only the time changes by which it is over."""
    run = new_run(10.0)
    longer = extended(run, 1000.0)
    assert longer.id == run.id
    until = "io.netduet.between.until"
    assert float(longer.labels[until]) - float(run.labels[until]) >= 989
