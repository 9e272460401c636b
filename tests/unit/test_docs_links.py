"""Relative links in the documentation lead to existing files and headings."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).parents[2]

_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_FENCE: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def pages() -> list[str]:
    """Return all Markdown files that git tracks, or would track."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "*.md"]
    listed = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.split()
    return listed or [
        str(path.relative_to(REPOSITORY))
        for folder in (".", "docs", "tests")
        for path in (REPOSITORY / folder).glob("*.md")
    ]


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    broken = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


@pytest.mark.parametrize("page", pages())
def test_relative_links_exist(page: str) -> None:
    """Each link to a file or folder of the repository exists."""
    assert broken_links(REPOSITORY / page) == []


def test_broken_link_is_found(tmp_path: Path) -> None:
    """A missing file and a missing heading are found; web links are not tested."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading, here\n[a](page.md) [b](missing.md) [c](#a-heading-here)\n"
        "[d](#missing) [e](https://example.org/missing)\n```\n[f](code.md)\n```\n"
    )
    assert broken_links(page) == ["missing.md", "#missing"]
