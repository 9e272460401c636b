"""Outside: runs the lab, as `make lab` does. Exits with 1 when a verdict is wrong.

Without names all networks run, and the matrix is printed and written to docs/lab.md;
with names, it is told what netduet said of each. Options: see ``run.py``.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Final

from tests.lab import container, matrix, run

PAGE: Final = container.ROOT / "docs/lab.md"


def main(words: list[str]) -> int:
    """Run what the command line asks for."""
    image = container.build()
    named = bool(run.parse_words(words).names)
    start = time.monotonic()
    results = []
    for result in container.run(image, *words):
        results.append(result)
        _tell(result, fully=named)
    seconds = time.monotonic() - start
    wrong = [entry for entry in results if entry["wrong"]]
    if not named:
        page = matrix.page(results, seconds, datetime.now(UTC).date())
        PAGE.write_text(page, encoding="utf-8")
        print(f"\n{page}")
    print(
        f"{len(results) - len(wrong)} of {len(results)} as expected, in {seconds:.0f} s"
    )
    return 1 if wrong else 0


def _tell(result: container.Result, *, fully: bool) -> None:
    """Print the result of a network; ``fully``, with the output of each check."""
    cells = " ".join(f"{check}={cell}" for check, cell in result["cells"].items())
    right = matrix.WRONG if result["wrong"] else " "
    print(
        f"{right} {result['network']}: {cells} ({result['seconds']:.1f} s)", flush=True
    )
    for line in matrix.complaint_lines([result]):
        print(f"    {matrix.WRONG} {line}")
    if fully and result.get("report"):
        _tell_checks(result["report"]["targets"][0]["checks"])
        print(f"    probe: {result['report']['probe']}")
    if fully and result.get("said"):
        print(f"    on stderr: {result['said']}")


def _tell_checks(checks: list[container.Result]) -> None:
    for check in checks:
        print(f"    {check['name']}: {check['summary']} ({check['seconds']:.2f} s)")
        for remark in check["remarks"]:
            print(f"      remark: {remark}")
        for finding in check["findings"]:
            print(
                f"      {finding['outcome']} {finding['class']} at {finding['where']}: {finding['seen']}"
            )
            for evidence in finding["evidence"]:
                print(f"        {evidence['side']}: {evidence['text']}")
        if check["figures"]:
            print(f"      figures: {check['figures']}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
