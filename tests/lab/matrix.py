"""The confusion matrix, as words for a terminal and as a page of docs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from tests.lab.expectation import VERDICT
from tests.lab.networks import ALL, Network

Result = dict[str, Any]

WRONG: Final = "✗"

_HEAD: Final = """\
# The lab

Written by `make lab`: every network of [tests/lab/networks](../tests/lab/networks/__init__.py), made of network namespaces in one container, and what `netduet check` says of it.
Rows are networks, columns are checks; a cell is the class of failure that the check reported, or its outcome.
{mark} marks a cell that is not what the network's declaration asks for; every finding that it does not name is wrong.

"""


def page(results: Sequence[Result], seconds: float, day: date) -> str:
    """Return docs/lab.md."""
    kernels = ", ".join(sorted({result["kernel"] for result in results}))
    wrong = [result for result in results if result["wrong"]]
    made = sorted(
        result["made_seconds"] for result in results if "made_seconds" in result
    )
    right = len(results) - len(wrong)
    facts = (
        f"{len(results)} networks, {right} judged right, in {seconds:.0f} s.\n"
        f"{day.isoformat()}, Linux {kernels}; making a network's namespaces took "
        f"{made[len(made) // 2]:.2f} s (median), {made[-1]:.2f} s at most.\n\n"
    )
    lines = [_HEAD.format(mark=WRONG), facts, *_table(results)]
    if wrong:
        lines += [
            "\n## What is wrong\n\n",
            *(f"- {complaint}\n" for complaint in complaint_lines(wrong)),
        ]
    return "".join(lines)


def complaint_lines(results: Iterable[Result]) -> list[str]:
    """Return the complaints, a line each."""
    return [
        f"{result['network']}, {check}: {complaint}"
        for result in results
        for check, complaint in result["wrong"].items()
    ]


def _table(results: Sequence[Result]) -> list[str]:
    checks = list(dict.fromkeys(name for result in results for name in result["cells"]))
    columns = ["network", "what it is", *checks, "seconds"]
    order = {name: number for number, name in enumerate(ALL)}
    rows = [columns, ["---"] * len(columns)]
    ordered = sorted(results, key=lambda result: order[result["network"]])
    rows += [_row(ALL[result["network"]], result, checks) for result in ordered]
    return [f"| {' | '.join(row)} |\n" for row in rows]


def _row(network: Network, result: Result, checks: Sequence[str]) -> list[str]:
    cells = []
    for check in checks:
        cell = result["cells"].get(check, "")
        wrong = check in result["wrong"]
        cells.append(f"**{WRONG} {cell}**" if wrong else cell)
    name = network.name
    if VERDICT in result["wrong"]:
        name = f"**{WRONG} {name}**"
    return [name, network.what, *cells, f"{result['seconds']:.1f}"]
