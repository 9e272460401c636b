"""Outages of known length and direction, and what is said of them.

By the check ``stream``, or with ``--watch`` by ``netduet watch`` as it goes on.

In the lab's container, each outage in namespaces of its own: the router drops packets
of one way or of both for 0.3 to 3 seconds, by rules that the kernel's packet filter
takes at known instants. Printed for each: the truth, what was found, the difference.

    python benchmarks/outages.py [--outages 20] [--seed 1] [--watch]
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

WHERE: Final = {
    ("to_server",): "path →",
    ("to_client",): "path ←",
    ("to_server", "to_client"): "intermediary",
}
SHORTEST, LONGEST = 0.3, 3.0
Tell = Callable[[int, tuple[str, ...], float], tuple[str, float, float, float]]
ASKED: Final = 0.1
"""Seconds that a length may be off."""


def main() -> int:
    """Build the image and run this file in it; inside, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--outages", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--inside", action="store_true")
    asked = parser.parse_args()
    if asked.inside:
        tell = by_watch if asked.watch else one
        # What takes fewer than eight datagrams is loss to it, at 50 ms from each to the next.
        shortest = 0.5 if asked.watch else SHORTEST
        return measure(asked.outages, random.Random(asked.seed), tell, shortest)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.lab import container  # noqa: PLC0415 - the path is set above

    image, name = container.build(), f"netduet-outages-{uuid.uuid4().hex[:12]}"
    command = ["docker", "run", "-i", "--rm", "--name", name]
    command += [*container.OPTIONS, "--entrypoint", "python", image, "-", "--inside"]
    command += ["--outages", str(asked.outages), "--seed", str(asked.seed)]
    command += ["--watch"] if asked.watch else []
    try:
        text = Path(__file__).read_bytes()
        return subprocess.run(command, input=text, check=False).returncode
    finally:
        remove = ["docker", "rm", "-f", name]
        subprocess.run(remove, capture_output=True, check=False)


def measure(count: int, chance: random.Random, tell: Tell, shortest: float) -> int:
    """Have so many outages; print each, and how far off they were told."""
    subprocess.run(["mount", "-o", "remount,rw", "/proc/sys"], check=True)
    errors, right = [], 0
    print("truth              ±      found              error   ", flush=True)
    for number in range(count):
        ways = chance.choice(list(WHERE))
        seconds = round(chance.uniform(shortest, LONGEST), 3)
        where, found, truth, doubt = tell(number, ways, seconds)
        error = found - truth
        # On a busy machine the truth itself is known no better than that.
        good = where == WHERE[ways] and abs(error) <= max(ASKED, doubt)
        right += good
        errors.append(abs(error))
        print(
            f"{WHERE[ways]:12} {truth:5.3f}  {doubt:5.3f}  {where:12} {found:5.3f}  "
            f"{error:+6.3f}  {'' if good else 'WRONG'}",
            flush=True,
        )
    print(
        f"{right} of {count} within {ASKED} s (or the ± of the truth) and of the right direction; "
        f"median error {statistics.median(errors):.3f} s, largest {max(errors):.3f} s"
    )
    return 0 if right == count else 1


def one(
    number: int, ways: tuple[str, ...], seconds: float
) -> tuple[str, float, float, float]:
    """Have an outage; return where and how long it was told, and truly was, ± that."""
    from tests.lab import outages  # noqa: PLC0415 - there inside
    from tests.lab.expectation import passes  # noqa: PLC0415
    from tests.lab.networks import Network  # noqa: PLC0415
    from tests.lab.run import check, start_services  # noqa: PLC0415
    from tests.lab.topology import topology  # noqa: PLC0415

    long = f"{seconds + 3.5:.1f}s"
    flags = ["-4", "--checks", "stream", "--stream-time", long, "--max-outage", "0.1"]
    network = Network("outage", "", passes(), flags=tuple(flags))
    outage = outages.Outage(tuple(f"-o {way}" for way in ways), seconds)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(topology(number, ()))
        start_services(stack, network, place)
        with outages.outage_during(place, outage) as happened:
            report, _ = check(network, place)
    findings: list[dict[str, Any]] = [
        finding
        for told in report["targets"][0]["checks"]
        for finding in told["findings"]
        if finding["class"] == "stream.outage"
    ]
    found = findings[0] if len(findings) == 1 else None
    where = found["where"] if found else f"{len(findings)} findings"
    length = found["figures"]["seconds"] if found else 0.0
    return where, length, happened.seconds, happened.uncertainty


def by_watch(
    number: int, ways: tuple[str, ...], seconds: float
) -> tuple[str, float, float, float]:
    """Have an outage as ``one`` does, told by a watch."""
    from tests.lab.watch_run import watch_outage  # noqa: PLC0415 - there inside

    told = watch_outage(number, ways, seconds)
    right = told.reported_where == told.where
    return (
        WHERE[ways] if right else told.reported_where,
        told.reported_seconds,
        told.seconds,
        told.uncertainty,
    )


if __name__ == "__main__":
    sys.exit(main())
