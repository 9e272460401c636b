"""Feeds random input to the targets for some minutes, as ``make fuzz`` does.

Prints how often each target was run and what was found; exits with 1 when something
was. A finding is printed with its smallest input: add that to the corpus.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz import inputs
from tests.fuzz.conversation import Conversation
from tests.fuzz.targets import TARGETS, Target, without_settings

CONVERSATION: Final = "conversation"
_ROUND_EXECUTIONS: Final = 2000
_MIN_ROUND_SECONDS: Final = 2.0

Round = Callable[[int], int]
"""Runs a round with a seed; returns the number of executions."""


@dataclass
class Tally:
    """What became of a target."""

    executions: int = 0
    seconds: float = 0.0
    finding: str = ""


def main(words: list[str]) -> int:
    """Run until the time is over."""
    names = [*TARGETS, CONVERSATION]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--target", action="append", choices=names)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(words)
    for name in without_settings():
        del os.environ[name]
    logging.disable()
    tallies = {name: Tally() for name in options.target or names}
    until = time.monotonic() + 60 * options.minutes
    number = options.seed
    while time.monotonic() < until and not all(map(_is_done, tallies.values())):
        for name, tally in tallies.items():
            if time.monotonic() < until and not tally.finding:
                number = _run(_round_of(name), tally, number)
    return _report(tallies, options.minutes, options.seed)


def _is_done(tally: Tally) -> bool:
    return bool(tally.finding)


def _run(run_round: Round, tally: Tally, number: int) -> int:
    """Run a target for a while; return the next seed."""
    start = time.monotonic()
    while time.monotonic() < start + _MIN_ROUND_SECONDS:
        number += 1
        try:
            tally.executions += run_round(number)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            tally.finding = traceback.format_exc()
            break
    tally.seconds += time.monotonic() - start
    return number


def _round_of(name: str) -> Round:
    return (
        _play if name == CONVERSATION else lambda number: _feed(TARGETS[name], number)
    )


class FindingError(Exception):
    """A target broke a promise; the text has the smallest input."""


def _feed(target: Target, number: int) -> int:
    source = inputs.changed(target.seeds(), random.Random(number))
    for data in itertools.islice(source, _ROUND_EXECUTIONS):
        if _fails(target, data):
            found = inputs.smallest(data, lambda data: _fails(target, data))
            shown = (
                repr(found.decode("utf-8", "replace")) if target.text else found.hex()
            )
            try:
                target.check(found)
            except Exception as error:
                raise FindingError(f"{target.name}: {shown}") from error
    return _ROUND_EXECUTIONS


def _fails(target: Target, data: bytes) -> bool:
    try:
        target.check(data)
    except Exception:  # noqa: BLE001 - whatever it is, it is a finding
        return True
    return False


_SETTINGS: Final = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def _play(number: int) -> int:
    count = 0

    class Counted(Conversation):
        def __init__(self) -> None:
            nonlocal count
            count += 1
            super().__init__()

    seeded = seed(number)(Counted)
    run_state_machine_as_test(seeded, settings=_SETTINGS)
    return count


def _report(tallies: dict[str, Tally], minutes: float, first_seed: int) -> int:
    for name, tally in tallies.items():
        rate = tally.executions / tally.seconds if tally.seconds else 0.0
        mark = "✗" if tally.finding else "ok"
        print(
            f"{mark:2} {name:18} {tally.executions:9,} executions, {rate:6.0f} a second"
        )
    found = [tally for tally in tallies.values() if tally.finding]
    for tally in found:
        print(f"\n{tally.finding}")
    total = sum(tally.executions for tally in tallies.values())
    print(
        f"{total:,} executions in {minutes:g} minutes, {len(found)} findings "
        f"(seed {first_seed})"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
