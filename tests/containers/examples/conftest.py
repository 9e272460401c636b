"""The examples run on the images that the container tests build."""

from __future__ import annotations

import pytest

from tests.containers.sandbox import Images


@pytest.fixture(autouse=True)
def built(images: Images) -> None:
    """Build both images first."""
    assert images
