"""The representative networks of the lab, each judged as declared.

No test here is ever skipped: without an engine each of them fails and says so.
"""

from __future__ import annotations

import pytest
from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID

from tests.lab import container
from tests.lab.networks import NETWORKS

NAMES = [network.name for network in NETWORKS if network.representative]

# Whoever comes first waits for the image and for all networks.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def results() -> dict[str, container.Result]:
    """Build the image, and run its container once for all tests."""
    image = container.build()
    label = f"{LABEL_SESSION_ID}={SESSION_ID}"
    ran = container.run(image, "--representative", label=label)
    return {result["network"]: result for result in ran}


@pytest.mark.parametrize("name", NAMES)
def test_network_is_judged_as_declared(
    name: str, results: dict[str, container.Result]
) -> None:
    """The verdict names the fault of a broken network, and none of a healthy one."""
    result = results[name]
    assert result["wrong"] == {}, result
