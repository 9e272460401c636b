"""Snippets in the documentation are parts of running examples."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
import yaml

from netduet.client.settings import ClientSettings

ROOT = Path(__file__).parents[2]
EXAMPLES = "\n".join(
    path.read_text() for path in (ROOT / "tests/containers/examples").glob("test_*.py")
)
IN_A_FUNCTION = " " * 4


@pytest.mark.parametrize("page", ["README.md", "docs/testing.md"])
def test_snippet_is_part_of_a_running_example(page: str) -> None:
    """Each snippet about the pair in tests is a verbatim part of an example."""
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    ours = [candidate for candidate in snippets if "duet" in candidate]
    assert ours
    for part in "\n\n".join(ours).split("\n\n"):
        indented = textwrap.indent(part, IN_A_FUNCTION)
        assert part in EXAMPLES or indented in EXAMPLES


def test_compose_and_ci_snippets_are_valid_yaml() -> None:
    """Each can be pasted; the commands name flags that exist."""
    text = (ROOT / "docs/ci.md").read_text()
    snippets = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(snippets) >= 5
    for snippet in snippets:
        assert yaml.safe_load(textwrap.dedent(snippet))
    flags = set(re.findall(r"--(wait|junit|json)\b", text))
    assert flags <= {field.split("_")[0] for field in ClientSettings.model_fields}
