"""Options, bulk data, prices of new connections, budgets and rhythms."""

from __future__ import annotations

from typing import Final

from netduet.client.checks.flows.consequences import TABLE_CONSEQUENCES
from tests.lab.conditions import DOWN, UP, lost, real_packets, slow
from tests.lab.expectation import fails, passes
from tests.lab.networks.declaration import V4, WAYS, Network
from tests.lab.transport_faults import (
    byte_dropped,
    delay_small_segments,
    dropped_after,
    ecn_marked_dropped,
    ecn_requested,
    ecn_syns_dropped,
    fast_open_set,
    fast_open_syns_dropped,
    first_packet_lost,
    flows_remembered,
    hold_small_writes,
    merged_dropped,
    opening_dropped,
    policed,
    quota_of_all,
    scaling_stripped,
    wait_first,
)
from tests.lab.tunrouter import Impairments

PATH: Final = (*V4, "--checks", "path")
CHURN: Final = (*V4, "--checks", "churn")
LOAD: Final = (*V4, "--checks", "load")
STREAM: Final = (*V4, "--checks", "stream")
_LOSSES: Final = ("load.loss", "load.policed", "load.offload")

NETWORKS: Final = (
    # Options
    Network(
        "scaling-stripped-down",
        "a firewall strips the window scale from SYN-ACKs: each end reads it otherwise",
        fails("path.window_scale", "intermediary", may=("load.small_window", *_LOSSES)),
        conditions=(scaling_stripped(DOWN),),
        flags=PATH,
        representative=True,
    ),
    Network(
        "scaling-stripped-up",
        "a firewall strips the window scale from SYNs, and the path is short",
        passes(("path", "offered window scaling, the server saw none")),
        conditions=(scaling_stripped(UP),),
        flags=PATH,
    ),
    Network(
        "scaling-stripped-up-long",
        "the same, 40 ms there and 40 ms back",
        fails("load.small_window", "path →"),
        conditions=(scaling_stripped(UP),),
        impairments=(Impairments(delay=0.04), Impairments(delay=0.04)),
        flags=LOAD,
    ),
    Network(
        "ecn-syns-dropped",
        "SYNs that ask for ECN are dropped, and the client asks",
        fails("churn.ecn_dropped", "path →"),
        conditions=(ecn_requested(), ecn_syns_dropped()),
        flags=V4,
    ),
    Network(
        "fast-open-dropped",
        "SYNs with the option of TCP Fast Open are dropped, and the client has it enabled",
        fails("churn.fast_open_dropped", "intermediary"),
        conditions=(fast_open_set(3), fast_open_syns_dropped()),
        flags=CHURN,
        representative=True,
    ),
    Network(
        "fast-open-dropped-unused",
        "the same, and the client has the default, which no application uses",
        passes(("churn", "Fast Open cookie is answered")),
        conditions=(fast_open_set(1), fast_open_syns_dropped()),
        flags=V4,
    ),
    *(
        Network(
            f"ecn-marked-dropped-{way}",
            f"packets with the mark of ECN are dropped on the way {way}",
            fails("path.ecn_marked_dropped", where),
            conditions=(ecn_requested(), ecn_marked_dropped(direction)),
            flags=PATH,
        )
        for way, direction, where in WAYS
    ),
    # Bulk data
    *(
        Network(
            f"policed-{way}",
            f"a policer of 416 packets per second (5 Mbit/s) with a bucket of 7 on the way {way}",
            fails("load.policed", where),
            conditions=(policed(416, 7, direction), real_packets()),
            flags=LOAD,
            representative=way == "down",
        )
        for way, direction, where in WAYS
    ),
    Network(
        "merged-dropped-up",
        "segments that leave together are lost, single ones pass",
        fails("load.offload", "path →"),
        conditions=(merged_dropped(UP),),
        flags=LOAD,
    ),
    Network(
        "tcp-lossy-15-up",
        "15 % of all segments are lost at random on the way up",
        fails("load.loss", "path →"),
        conditions=(lost(0.15, UP, "tcp"),),
        flags=LOAD,
        seconds=120,
    ),
    *(
        Network(
            f"shaped-5mbit-{profile}",
            "5 Mbit/s in both directions, with a queue of 100 ms",
            passes(),
            conditions=(slow(5, UP, 100), slow(5, DOWN, 100)),
            flags=(*V4, "--profile", profile),
            seconds=240,
        )
        for profile in ("quick", "full")
    ),
    # Contents
    *(
        Network(
            f"opening-{'reset' if reset else 'dropped'}",
            f"a firewall {'resets' if reset else 'drops'} packets that begin with netduet's magic",
            fails(
                "identity.content_dropped",
                "intermediary",
                cause="recognises in the data",
            ),
            conditions=(opening_dropped(UP, reset=reset),),
            flags=V4,
            representative=not reset,
        )
        for reset in (False, True)
    ),
    *(
        Network(
            f"byte-dropped-{way}",
            f"full packets with certain bytes are dropped on the way {way}",
            fails("size.content_dropped", where),
            conditions=(byte_dropped(direction), real_packets()),
            flags=(*V4, "--checks", "size"),
            representative=way == "up",
        )
        for way, direction, where in WAYS
    ),
    # Prices
    Network(
        "first-packet-lost",
        "the first packet of each connection is lost, all that follow pass",
        fails("churn.repeated_syn", "path →"),
        conditions=(first_packet_lost(),),
        flags=V4,
        representative=True,
    ),
    Network(
        "first-datagram-lost",
        "the first datagram of each flow is lost, all that follow pass",
        fails("flows.udp_first_lost", "path →"),
        conditions=(first_packet_lost("udp"),),
        flags=V4,
    ),
    Network(
        "first-answer-late",
        "a proxy looks each client up for 1.5 s before it connects to the server",
        fails("churn.slow_first_answer", "unknown"),
        proxy=wait_first(1.5),
        flags=CHURN,
        seconds=120,
    ),
    Network(
        "small-writes-held",
        "a proxy forwards 4 KiB at a time, or what there is after 0.3 s",
        fails("path.held_back", "intermediary"),
        proxy=hold_small_writes(4096, 0.3),
        flags=PATH,
    ),
    Network(
        "small-writes-nagle",
        "a proxy sends a second small segment when the first is acknowledged, 40 ms late",
        passes(("path", "Nagle")),
        proxy=delay_small_segments,
        flags=PATH,
    ),
    Network(
        "small-writes-held-brief",
        "the same with 16 KiB and 0.15 s",
        fails("path.held_back", "intermediary"),
        proxy=hold_small_writes(16_384, 0.15),
        flags=PATH,
    ),
    # Budgets
    Network(
        "table-full",
        "a router remembers 40 flows for two minutes, and no more",
        fails("churn.table_full", "intermediary"),
        conditions=(flows_remembered(40),),
        flags=CHURN,
        representative=True,
    ),
    Network(
        "table-full-flows",
        "a router remembers 100 flows for two minutes: all checks",
        fails("flows.table_full", "intermediary", may=TABLE_CONSEQUENCES),
        conditions=(flows_remembered(100),),
        flags=V4,
        seconds=150,
    ),
    Network(
        "quota-of-all",
        "8 MiB pass in all, on all connections together, and then nothing of TCP",
        fails("load.shared_quota", "intermediary"),
        conditions=(quota_of_all(8192),),
        flags=LOAD,
    ),
    Network(
        "cut-after-8mib",
        "a firewall drops the packets of connections that have carried 8 MiB",
        fails("load.quota", "intermediary"),
        conditions=(dropped_after(8192),),
        flags=LOAD,
    ),
    Network(
        "cut-after-300k",
        "the same after 300 KiB",
        fails("size.stalled", "path →", may=("size.stalled",)),
        conditions=(dropped_after(300),),
        flags=(*V4, "--checks", "size"),
    ),
    # Rhythms
    *(
        Network(
            f"flapping-{name}",
            f"the path is dead for {out:g} s of every {every:g} s",
            fails("stream.flapping", "intermediary"),
            impairments=(
                Impairments(out=out, out_every=every),
                Impairments(out=out, out_every=every),
            ),
            flags=STREAM,
            representative=name == "fast",
        )
        for name, out, every in (("fast", 0.3, 1.5), ("slow", 0.4, 1.9))
    ),
)
