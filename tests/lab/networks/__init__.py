"""The networks of the lab. Each is one ``Network(...)`` of a few lines.

    Network(
        "udp-lost-up",                            its name, a row of the matrix
        "5 % of datagrams are lost on the way to the server",
        fails("udp.loss", "path →"),              what the verdict must say
        conditions=(lost(0.05, UP, "udp"),),      what the network is like
        flags=("--profile", "full"),              of `netduet check`
    )

What it must say: ``fails(CLASS, WHERE)`` (the root finding; the check is the class's
first word, or ``check=``), ``passes(("CHECK", "words of a remark"), ...)``, or
``never_fails()``, ``is_inconclusive()``. Every other finding is wrong, unless its class stands in ``may=``.
What it is like:
  conditions  functions of conditions.py: rules, MTUs, NAT, idle timers; they add up
  impairments (up, down): Impairments of tunrouter.py: delay, jitter, reordering
  proxy       a behaviour of middleboxes.py that all TCP passes through
  server      flags of `netduet serve`; or the behaviour of a foreign server; None: nothing
  servers     how many netduets there are (SERVER4 and OTHERS4)
  names       what the name server.test resolves to, how late, and with which quirk
  further_names  the same at a second name server (SECOND_RESOLVER4)
  resolv      the client's resolv.conf
  target      what is checked, if not that name
  also        further targets of the same command, each with what it must say
  outage      an Outage of outages.py: begins and ends while the stream check runs
  starved     "client" or "server" runs 5 % of the time
  descriptors how many open files the server may have; 0: as many as the lab
  background  another client of the same namespace loads the path meanwhile
  rhythm      for how many seconds it then runs, and for how many it is stopped
  seconds     the bound on one check
  representative   also in `make test`
Without any of them it is healthy, routed, with IPv4 and IPv6.
Try one:  .venv/bin/python -m tests.lab NAME...
"""

from __future__ import annotations

from typing import Final

from tests.lab.networks import (
    balance,
    churn,
    delivery,
    flows,
    healthy,
    isolation,
    lifetime,
    load,
    names,
    outages,
    place,
    reach,
    slow,
    transport,
    unusual,
    who,
)
from tests.lab.networks.declaration import Network

__all__ = ["ALL", "NETWORKS", "Network"]

NETWORKS: Final = (
    *healthy.NETWORKS,
    *names.NETWORKS,
    *reach.NETWORKS,
    *balance.NETWORKS,
    *delivery.NETWORKS,
    *flows.NETWORKS,
    *lifetime.NETWORKS,
    *churn.NETWORKS,
    *outages.NETWORKS,
    *load.NETWORKS,
    *transport.NETWORKS,
    *slow.NETWORKS,
    *unusual.NETWORKS,
    *isolation.NETWORKS,
    *who.NETWORKS,
    *place.NETWORKS,
)

ALL: Final = {network.name: network for network in NETWORKS}
assert len(ALL) == len(NETWORKS), "a name is taken twice"
