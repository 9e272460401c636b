"""Who is at fault: a firewall that rejects, an end's own firewall, its kernel, its limits."""

from __future__ import annotations

from typing import Final

from tests.lab.conditions import published_port
from tests.lab.end_faults import (
    own_input_dropped,
    own_output_dropped,
    rejected_by_icmp,
)
from tests.lab.expectation import fails
from tests.lab.nameserver import Names
from tests.lab.networks.declaration import UDP, V4, V6, Network
from tests.lab.topology import ROUTER4, ROUTER6
from tests.lab.tunrouter import Impairments

_OWN_ANSWERS: Final = "this host's own firewall drops the answers"
_CHECKSUM: Final = "with a wrong checksum"

NETWORKS: Final = (
    # ICMP errors
    *(
        Network(
            f"icmp-rejected-v{family}",
            "a firewall on the way rejects TCP as REJECT does unless told otherwise",
            fails(
                "reach.rejected",
                "intermediary",
                place=f"hop 1 ({router})",
                cause=f"a firewall or router, {router}",
            ),
            conditions=(rejected_by_icmp("router"),),
            flags=(f"-{family}",),
            representative=family == "4",
        )
        for family, router in (("4", ROUTER4), ("6", ROUTER6))
    ),
    Network(
        "icmp-rejected-by-server",
        "the firewall of the server's own host rejects TCP",
        fails("reach.rejected", "server", cause="a firewall on 198.18.2.2 itself"),
        conditions=(rejected_by_icmp("server"),),
        flags=V4,
    ),
    Network(
        "icmp-rejected-here",
        "the client's own firewall rejects TCP",
        fails("reach.rejected", "client", cause="this host's own firewall rejects"),
        conditions=(rejected_by_icmp("client"),),
        flags=V4,
    ),
    # The client's own firewall
    *(
        Network(
            f"own-input-dropped-v{family}",
            "the answers arrive, and the client's own firewall drops them",
            fails("reach.timeout", "client", cause=_OWN_ANSWERS),
            conditions=(own_input_dropped("client"),),
            flags=(f"-{family}",),
            representative=family == "4",
        )
        for family in "46"
    ),
    Network(
        "own-input-dropped-udp",
        "datagrams are answered, and the client's own firewall drops the answers",
        fails("udp.silent", "client", cause=_OWN_ANSWERS),
        conditions=(own_input_dropped("client", "udp --sport 12345"),),
        flags=(*UDP, *V4),
    ),
    *(
        Network(
            f"own-output-dropped-v{family}",
            "SYNs do not leave the client: its own firewall drops them",
            fails(
                "reach.timeout",
                "client",
                cause="this host's own firewall drops the packets before they leave",
            ),
            conditions=(own_output_dropped("client"),),
            flags=(f"-{family}",),
        )
        for family in "46"
    ),
    Network(
        "own-output-dropped-udp",
        "datagrams do not leave the client: its own firewall drops them",
        fails("udp.rejected", "client", cause="this host's own firewall forbids"),
        conditions=(own_output_dropped("client", "udp --dport 12345"),),
        flags=(*UDP, *V4),
    ),
    Network(
        "server-input-dropped",
        "the firewall of the server's host drops TCP, and lets datagrams in",
        fails("reach.timeout", "unknown", cause="the host itself is alive"),
        conditions=(own_input_dropped("server"),),
        flags=V4,
    ),
    # Kernels that drop what arrives
    *(
        Network(
            f"checksum-udp-{way}",
            f"the checksums of datagrams are wrong, on the way {way}",
            fails("udp.silent", where, cause=_CHECKSUM),
            impairments=(
                Impairments(wrong_checksum=up, protocol="udp"),
                Impairments(wrong_checksum=1 - up, protocol="udp"),
            ),
            flags=(*UDP, f"-{family}"),
            representative=way == "down",
        )
        for way, up, where, family in (
            ("up", 1.0, "path →", "4"),
            ("down", 0.0, "path ←", "4"),
        )
    ),
    Network(
        "checksum-tcp-down",
        "the checksums of TCP are wrong on the way down: no answer is accepted",
        fails("reach.timeout", "path ←", cause=_CHECKSUM),
        impairments=(Impairments(), Impairments(wrong_checksum=1.0, protocol="tcp")),
        flags=V4,
    ),
    # The server's own limits, and ports that lead to it
    *(
        Network(
            f"open-files-{descriptors}",
            f"the server may have {descriptors} open files",
            fails(
                "identity.busy",
                "server",
                check="size",
                cause="open files",
                may=("path.broken",),
            ),
            descriptors=descriptors,
            flags=("--checks", "size"),
        )
        for descriptors in (40, 84)
    ),
    Network(
        "published-tcp-alone",
        "the router forwards the port for TCP alone",
        fails("udp.rejected", "intermediary", cause="for TCP alone"),
        conditions=(published_port("tcp"),),
        names=Names((ROUTER4, ROUTER6)),
        flags=(*UDP, *V4),
    ),
    Network(
        "localhost",
        "the client asks its own host, and the server runs elsewhere",
        fails("reach.refused", "client", cause="itself"),
        target="127.0.0.1",
        flags=V4,
    ),
    Network(
        "own-address-v6",
        "the client asks its own host over IPv6, and the server runs elsewhere",
        fails("reach.refused", "client", cause="itself"),
        target="[::1]",
        flags=V6,
    ),
)
