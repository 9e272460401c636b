"""Outside: plays a day of a cluster in the lab's container. Options: see ``run.py``.

python -m tests.lab.day              a healthy day: nothing must be reported
python -m tests.lab.day --faults     the same day, with five faults in between
python -m tests.lab.day --row NAME   a single operation or fault
"""

from __future__ import annotations

import subprocess
import sys
import uuid

from tests.lab import container


def main(words: list[str]) -> int:
    """Play it; return 1 if anything was reported wrongly."""
    name = f"netduet-day-{uuid.uuid4().hex[:12]}"
    image = container.build()
    command = container.module_command(name, image, "tests.lab.day.run", *words)
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        remove = ["docker", "rm", "-f", name]
        subprocess.run(remove, capture_output=True, timeout=60, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
