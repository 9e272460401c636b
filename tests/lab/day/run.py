"""Inside the lab's container: plays days and rows. Options: see ``main``.

Prints what is done to the cluster (``#``) and the lines of each watch (``[NAME]``) as
they come, and at the end what was reported wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import random
import subprocess
import sys
import time
from pathlib import Path

import netduet
from tests.lab.day.pace import Pace
from tests.lab.day.program import CYCLES, Day
from tests.lab.day.rows import ROWS
from tests.lab.day.scene import Scene, scene


def arguments() -> argparse.ArgumentParser:
    """Return the options of a day."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.day")
    parser.add_argument(
        "--faults", action="store_true", help="five real faults in between"
    )
    parser.add_argument(
        "--row", action="append", default=[], choices=[*ROWS, "all"], help="this alone"
    )
    parser.add_argument(
        "--scale", type=float, default=Pace().scale, help="1.0 is the real speed"
    )
    parser.add_argument("--cycles", type=int, default=CYCLES, help="of a day")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def main(words: list[str]) -> int:
    """Play what is asked for; return 1 if anything was reported wrongly."""
    asked = arguments().parse_args(words)
    random.seed(asked.seed)
    subprocess.run(["mount", "-o", "remount,rw", "/proc/sys"], check=True)
    compileall.compile_dir(Path(netduet.__file__).parent, quiet=2)
    rows = list(ROWS) if "all" in asked.row else asked.row
    wrong = 0
    for name in rows or [""]:
        wrong += asyncio.run(_play(name, asked))
    return min(wrong, 1)


async def _play(name: str, asked: argparse.Namespace) -> int:
    start = time.monotonic()
    title = f"row {name}" if name else "the day"
    print(f"=== {title}, at {asked.scale:g} of the real times", flush=True)
    async with scene(Pace(asked.scale)) as made:
        if name:
            happened = await ROWS[name](made)
        else:
            day = Day(made, asked.cycles, asked.faults)
            happened = await day.play()
        await made.stop()
        judgement = made.judge(happened)
        print(f"=== {title}: {time.monotonic() - start:.0f} s")
        for report in judgement.false:
            print(f"FALSE: {report}")
        for complaint in judgement.missed:
            print(f"MISSED: {complaint}")
        print(
            f"{len(happened)} faults, {judgement.reported} of them reported rightly; "
            f"{len(judgement.false)} reports of nothing; {made.unproven()} outages "
            f"that prove nothing or a busy machine; {_line_count(made)} lines",
            flush=True,
        )
        return bool(judgement.false or judgement.missed)


def _line_count(made: Scene) -> int:
    return sum(len(watcher.lines) for watcher in made.all_watchers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
