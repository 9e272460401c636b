"""Addresses without a server, connections that fail, foreign servers that answer."""

from __future__ import annotations

from typing import Final

from tests.lab import middleboxes
from tests.lab.conditions import (
    DOWN,
    UP,
    dropped,
    own_port_alone,
    prohibited,
    reset,
)
from tests.lab.expectation import fails
from tests.lab.nameserver import Names
from tests.lab.networks.declaration import Network
from tests.lab.topology import (
    ABSENT4,
    CLIENT4,
    OTHERS4,
    SERVER4,
)

NETWORKS: Final = (
    # Names
    Network(
        "aaaa-for-v4-only",
        "the name has an IPv6 address, and the server listens only on IPv4",
        fails("reach.partial", "unknown"),
        server=("--host", "0.0.0.0"),
        representative=True,
    ),
    Network(
        "one-of-three-dead",
        "one of the name's three addresses is unreachable",
        fails("reach.partial", "unknown"),
        names=Names((SERVER4, OTHERS4[0], ABSENT4)),
    ),
    # Connections
    Network(
        "refused",
        "nothing listens there",
        fails("reach.refused", "server"),
        server=None,
        representative=True,
    ),
    Network(
        "firewall-reset",
        "a firewall rejects the connection with a reset",
        fails(
            "reach.refused",
            "intermediary",
            place="hop 1",
            cause="sends the resets in the server's name",
        ),
        conditions=(reset(),),
    ),
    Network(
        "firewall-prohibited",
        "a firewall rejects with an ICMP error",
        fails("reach.unreachable", "intermediary"),
        conditions=(prohibited(),),
        names=Names((SERVER4,)),
    ),
    Network(
        "dropped-up",
        "TCP is dropped on the way to the server",
        fails("reach.timeout", "unknown"),
        conditions=(dropped("tcp", UP),),
        representative=True,
    ),
    Network(
        "dropped-down",
        "TCP is dropped on the way back",
        fails("reach.timeout", "unknown"),
        conditions=(dropped("tcp", DOWN),),
    ),
    Network(
        "gone",
        "the only address is unreachable",
        fails("reach.unreachable", "intermediary"),
        names=Names((ABSENT4,)),
    ),
    # Who answers
    Network(
        "proxy-dead-silent",
        "a proxy accepts on behalf of a server that hangs",
        fails("identity.silent", "unknown"),
        proxy=middleboxes.stay_silent,
        representative=True,
    ),
    Network(
        "proxy-dead-app",
        "a proxy accepts, finds its server dead, and gives up",
        fails(("identity.closed", "identity.reset"), "intermediary"),
        proxy=middleboxes.forward_all,
        server=None,
        representative=True,
    ),
    Network(
        "proxy-dead-closing",
        "a proxy accepts on behalf of a dead server, then closes",
        fails("identity.closed", "intermediary"),
        proxy=middleboxes.close_after_request,
    ),
    Network(
        "proxy-dead-resetting",
        "a proxy accepts on behalf of a dead server, then resets",
        fails("identity.reset", "intermediary"),
        proxy=middleboxes.reset_after_request,
    ),
    Network(
        "proxy-dead-resetting-at-once",
        "a proxy accepts on behalf of a dead server, then resets before any request",
        fails("identity.reset", "intermediary"),
        proxy=middleboxes.reset_at_once,
    ),
    Network(
        "stranger-web",
        "a web server has the name",
        fails("identity.not_netduet", "server"),
        server=middleboxes.serve_web,
        representative=True,
    ),
    Network(
        "stranger-shell",
        "a server that speaks first has the name",
        fails("identity.not_netduet", "server"),
        server=middleboxes.send_banner,
    ),
    Network(
        "other-service",
        "a netduet server for another service has the name",
        fails("identity.other_service", "server"),
        server=("--service", "billing"),
    ),
    Network(
        "itself",
        "the target is the client's own address, and the client connects to itself",
        fails("identity.self", "client"),
        conditions=(own_port_alone(),),
        target=CLIENT4,  # name servers would be asked from the only port
        server=None,
    ),
    Network(
        "mangled-up",
        "a proxy turns CR LF into LF on the way to the server",
        fails("identity.mangled", "path →"),
        proxy=middleboxes.convert_line_ends(up=True),
        representative=True,
    ),
    Network(
        "mangled-down",
        "a proxy turns CR LF into LF on the way back",
        fails("identity.mangled", "path ←"),
        proxy=middleboxes.convert_line_ends(up=False),
    ),
)
