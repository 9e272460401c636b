"""The evidence of outages, in words."""

from __future__ import annotations

import pytest

from netduet.client.outages.evidence import count_retransmits
from netduet.wire.messages import TcpInfo
from tests.unit.client.fake_server import tcp_info


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (tcp_info(total_retrans=1), "1 segment"),
        (tcp_info(total_retrans=0), "0 segments"),
        (None, "an unknown number of segments"),
    ],
)
def test_retransmitted_segments_are_counted(info: TcpInfo | None, text: str) -> None:
    """One segment is singular; a kernel that reports nothing leaves the number open."""
    assert count_retransmits(info) == text
