"""Inside: runs a row in the namespaces that ``sandbox`` made; prints what it measured.

A line of JSON for each measurement, as soon as it is there.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.rows import ALL
from tests.chaos.trial import Trial

_SETUP = (
    ("ip", "link", "set", "lo", "up"),
    ("ip", "route", "add", "local", "198.18.0.0/15", "dev", "lo"),
)
"""All addresses for benchmarks (RFC 2544) are this namespace's own."""


def main(words: list[str]) -> int:
    """Run a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=sorted(ALL))
    parser.add_argument("--fast", action="store_true")
    options = parser.parse_args(words)
    prepare()
    run = ALL[options.row].run
    assert run is not None, ALL[options.row].absent
    with (
        tempfile.TemporaryDirectory(prefix="netduet-chaos-") as folder,
        Trial(Path(folder), fast=options.fast) as trial,
    ):
        run(trial)
    return 0


def prepare() -> None:
    """Give the namespace its addresses, and this process all descriptors it may have."""
    for command in _SETUP:
        subprocess.run(command, check=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
