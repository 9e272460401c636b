"""Connections that do not last, and closes that arrive altered."""

from __future__ import annotations

from typing import Final

from tests.lab import middleboxes
from tests.lab.conditions import (
    DOWN,
    UP,
    dropped,
    flagged_dropped,
    idle_forgotten,
    source_nat,
    udp_forgotten,
)
from tests.lab.expectation import fails, passes
from tests.lab.networks.declaration import EVERYTHING, IDLE, WAYS, Network

NETWORKS: Final = (
    # Silence
    Network("idle-healthy", "nothing forgets idle connections", passes(), flags=IDLE),
    Network(
        "idle-forgotten",
        "a router forgets idle connections after 5 s, and drops their packets",
        fails("idle.silent", "intermediary"),
        conditions=(idle_forgotten(5, reset=False),),
        flags=IDLE,
        representative=True,
    ),
    Network(
        "idle-forgotten-reset",
        "a router forgets idle connections after 5 s, and resets their senders",
        fails("idle.reset", "intermediary"),
        conditions=(idle_forgotten(5, reset=True),),
        flags=IDLE,
        representative=True,
    ),
    Network(
        "idle-forgotten-nat",
        "a router that hides the client forgets idle connections after 5 s",
        # The server's own words lead to the router, which resets what it knows not.
        fails(("idle.reset", "idle.silent"), "intermediary"),
        conditions=(source_nat(), idle_forgotten(5, reset=False)),
        flags=IDLE,
    ),
    *(
        Network(
            f"idle-proxy-{how}",
            f"a proxy ends idle connections after 5 s by {how}",
            fails(failure, "intermediary"),
            proxy=middleboxes.end_idle_connections(5, how),
            flags=IDLE,
            representative=how == "fin",
        )
        for how, failure in (
            ("reset", "idle.reset"),
            ("fin", "idle.closed"),
            ("silence", "idle.silent"),
        )
    ),
    *(
        Network(
            f"idle-lifetime-{how}",
            f"a proxy ends connections 5 s after they began by {how}, busy or not",
            fails("idle.lifetime", "intermediary"),
            proxy=middleboxes.end_at_age(5, how),
            flags=IDLE,
            representative=how == "fin",
        )
        for how in ("fin", "reset")
    ),
    Network(
        "idle-udp-forgotten",
        "a firewall forgets UDP flows after 5 s, and drops what the server sends then",
        fails("idle.udp_forgotten", "intermediary"),
        conditions=(udp_forgotten(5),),
        flags=IDLE,
        representative=True,
    ),
    Network(
        "idle-udp-forgotten-nat",
        "a router that hides the client forgets UDP flows after 3 s",
        fails("idle.udp_forgotten", "intermediary"),
        conditions=(source_nat(), udp_forgotten(3)),
        flags=IDLE,
    ),
    # Ends
    Network(
        "half-close-broken",
        "a proxy closes both directions at the first FIN",
        fails("close.half_close", "intermediary"),
        proxy=middleboxes.close_at_first_fin,
        flags=EVERYTHING,
        representative=True,
    ),
    Network(
        "half-close-broken-noted",
        "the same proxy, and nobody has said that half-closes are needed",
        passes(notes=("close.half_close",)),
        proxy=middleboxes.close_at_first_fin,
        representative=True,
    ),
    Network(
        "answer-cut",
        "a proxy carries only 1,000 bytes of the response after the client's FIN",
        fails("close.answer_cut", "intermediary"),
        proxy=middleboxes.truncate_answer(1000),
        flags=EVERYTHING,
        representative=True,
    ),
    Network(
        "reset-hidden",
        "a proxy turns resets into normal closes",
        fails("close.reset_hidden", "intermediary"),
        proxy=middleboxes.turn_resets_into_fins,
        flags=EVERYTHING,
        representative=True,
    ),
    Network(
        "tcp-proxy-noted",
        "a proxy turns resets into normal closes, and UDP does not pass",
        passes(notes=("close.reset_hidden", "udp.silent")),
        conditions=(dropped("udp", UP),),
        proxy=middleboxes.turn_resets_into_fins,
    ),
    Network(
        "tcp-proxy-needed-udp",
        "the same, and UDP is needed",
        fails("udp.silent", "unknown", may=("close.reset_hidden",)),
        conditions=(dropped("udp", UP),),
        proxy=middleboxes.turn_resets_into_fins,
        flags=("--for", "dns"),
    ),
    Network(
        "reset-dropped",
        "a firewall drops resets on the way back",
        fails("close.reset_lost", "intermediary"),
        conditions=(flagged_dropped("RST", DOWN),),
    ),
    Network(
        "fin-swallowed",
        "a proxy never forwards the client's FIN to the server",
        fails("close.fin_changed", "intermediary", may=("close.reset_hidden",)),
        proxy=middleboxes.swallow_client_fin,
        flags=EVERYTHING,
    ),
    *(
        Network(
            f"fin-dropped-{way}",
            f"a firewall drops FINs on the way {way}",
            fails("close.fin_changed", "intermediary"),
            conditions=(flagged_dropped("FIN", direction),),
        )
        for way, direction, _ in WAYS
    ),
)
