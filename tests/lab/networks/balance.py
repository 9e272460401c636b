"""Networks in which a load balancer, or one of its backends, is at fault."""

from __future__ import annotations

from typing import Final

from tests.lab import middleboxes
from tests.lab.conditions import absent, balanced
from tests.lab.expectation import fails, passes
from tests.lab.nameserver import Names
from tests.lab.networks.declaration import Network
from tests.lab.topology import ABSENT4, OTHERS4, SERVER4

_VIP: Final = Names((SERVER4,))
# Who remembers flows leads the same source ports to the dead backend again.
_GHOST: Final = fails(
    "balance.unhealthy_backend",
    "intermediary",
    may=("flows.dead", "flows.udp_dead"),
)

NETWORKS: Final = (
    Network(
        "ghost-refused",
        "one of three backends has no running process",
        _GHOST,
        conditions=(balanced((SERVER4, *OTHERS4)),),
        servers=2,
        names=_VIP,
        representative=True,
    ),
    Network(
        "ghost-silent",
        "one of three backends drops everything silently",
        _GHOST,
        conditions=(balanced((SERVER4, OTHERS4[0], ABSENT4)), absent(ABSENT4)),
        servers=2,
        names=_VIP,
    ),
    Network(
        "ghost-nobody",
        "one of three backends is an address that no host has",
        _GHOST,
        conditions=(balanced((SERVER4, OTHERS4[0], ABSENT4)),),
        servers=2,
        names=_VIP,
    ),
    Network(
        "ghost-closed",
        "a proxy accepts, then closes every third connection: its backend is dead",
        _GHOST,
        proxy=middleboxes.every_nth(3, middleboxes.close_after_request),
        servers=2,
        names=_VIP,
    ),
    Network(
        "hot-backend",
        "one of three backends gets 13 of 15 connections",
        fails("balance.uneven", "intermediary"),
        conditions=(balanced((*(13 * (SERVER4,)), *OTHERS4)),),
        servers=3,
        names=_VIP,
        representative=True,
    ),
    Network(
        "stranger-among-three",
        "one of three backends is a web server",
        fails("balance.wrong_service", "server"),
        proxy=middleboxes.every_nth(3, middleboxes.answer_http_error),
        servers=2,
        names=_VIP,
        representative=True,
    ),
    Network(
        "twins-same-instance",
        "two servers behind one address have the same name",
        passes(("balance", "2 processes are named twin")),
        conditions=(balanced((SERVER4, OTHERS4[0])),),
        server=("--instance", "twin"),
        servers=2,
        names=_VIP,
        flags=("-4", "--checks", "balance"),
    ),
    Network(
        "single-server",
        "a single server",
        passes(),
        names=_VIP,
    ),
)
