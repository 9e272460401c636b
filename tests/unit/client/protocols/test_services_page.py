"""docs/services.md says of each protocol what its declaration says."""

from __future__ import annotations

from pathlib import Path

from netduet.client.protocols import PROTOCOLS
from netduet.client.protocols.base import Protocol

PAGE = Path(__file__).parents[4] / "docs/services.md"


def declared(protocol: Protocol) -> tuple[str, str]:
    """Return ports and limits as the page has them."""
    ports = ", ".join(map(str, protocol.ports)) + "/udp" * protocol.datagrams
    limits = f"{protocol.max_connections}, {protocol.max_open} at once"
    if protocol.login_timeout is not None:
        limits += f"; {protocol.login_timeout:g} s (`{protocol.login_setting}`)"
    return ports, limits


def test_page_has_ports_and_limits_of_each_protocol() -> None:
    """No protocol is missing, and none is left over."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
    ]
    page = {row[0].strip("`"): (row[1], row[-1]) for row in rows}
    assert page == {protocol.name: declared(protocol) for protocol in PROTOCOLS}
