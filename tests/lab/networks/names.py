"""DNS servers that contradict each other, are silent, or mean another name."""

from __future__ import annotations

from typing import Final

from tests.lab import middleboxes
from tests.lab.expectation import fails, passes
from tests.lab.nameserver import (
    Names,
    below,
    every_nth,
    on_type,
    unanswered,
)
from tests.lab.networks.declaration import Network
from tests.lab.topology import (
    ABSENT4,
    ROUTER4,
    SECOND_RESOLVER4,
    SERVER4,
    SERVER6,
)

BOTH: Final = f"nameserver {ROUTER4}\nnameserver {SECOND_RESOLVER4}\n"
REVERSED: Final = f"nameserver {SECOND_RESOLVER4}\nnameserver {ROUTER4}\n"
SEARCH: Final = (
    f"nameserver {ROUTER4}\nsearch a.example corp.example\noptions ndots:5\n"
)
SERVER: Final = Names((SERVER4, SERVER6))

NETWORKS: Final = (
    Network(
        "name-missing",
        "the name does not exist",
        fails("name.not_found", "client"),
        names=Names(()),
        representative=True,
    ),
    Network(
        "name-unanswered",
        "the name server never responds",
        fails("name.timeout", "unknown"),
        names=Names((SERVER4,), delay=300.0),
    ),
    Network(
        "name-aaaa-unanswered",
        "the name server answers A, and is silent about AAAA",
        fails("name.record_timeout", "intermediary"),
        names=Names((SERVER4,), quirk=on_type("AAAA", None)),
        representative=True,
    ),
    Network(
        "name-aaaa-denied",
        "the name server says NXDOMAIN to AAAA, which glibc ignores",
        passes(("name", "musl (Alpine) fails the whole lookup")),
        names=Names((SERVER4,), quirk=on_type("AAAA", "NXDOMAIN")),
    ),
    Network(
        "name-aaaa-servfail",
        "the name server says SERVFAIL to AAAA, which glibc ignores",
        passes(("name", "answers SERVFAIL to AAAA queries")),
        names=Names((SERVER4,), quirk=on_type("AAAA", "SERVFAIL")),
    ),
    Network(
        "name-denied-now-and-then",
        "every fifth answer says NXDOMAIN",
        fails("name.inconsistent", "intermediary"),
        names=Names((SERVER4, SERVER6), quirk=every_nth(5, "NXDOMAIN")),
        representative=True,
    ),
    Network(
        "name-servfail-now-and-then",
        "every third answer says SERVFAIL",
        fails("name.inconsistent", "intermediary"),
        names=Names((SERVER4, SERVER6), quirk=every_nth(3, "SERVFAIL")),
    ),
    Network(
        "name-servers-disagree",
        "the second of two name servers does not know the name",
        fails("name.inconsistent", "intermediary"),
        resolv=BOTH,
        further_names=Names(()),
    ),
    Network(
        "name-servers-disagree-first",
        "the first of two name servers does not know the name",
        fails("name.inconsistent", "intermediary"),
        resolv=REVERSED,
        further_names=Names(()),
    ),
    Network(
        "name-servers-stale",
        "the second of two name servers has an address of another network",
        fails("name.inconsistent", "intermediary"),
        resolv=BOTH,
        further_names=Names(("198.18.77.7",)),
    ),
    Network(
        "name-first-server-dead",
        "the first of two name servers is silent: each lookup waits for it",
        fails("name.server_timeout", "unknown"),
        resolv=REVERSED,
        further_names=Names((SERVER4,), delay=300.0),
        representative=True,
    ),
    Network(
        "name-second-server-dead",
        "the second of two name servers is silent: nothing waits for it",
        passes(("name", "the further DNS server")),
        resolv=BOTH,
        further_names=Names((SERVER4,), delay=300.0),
    ),
    Network(
        "name-queries-lost",
        "a third of the queries to the name server is lost",
        fails("name.queries_lost", "unknown"),
        names=Names((SERVER4, SERVER6), quirk=unanswered(1 / 3)),
        flags=("--checks", "name"),
    ),
    Network(
        "name-queries-lost-1",
        "1 % of the queries to the name server is lost",
        passes(),
        names=Names((SERVER4, SERVER6), quirk=unanswered(0.01)),
        flags=("--checks", "name"),
    ),
    Network(
        "name-truncated",
        "answers are truncated, and the name server does not serve TCP",
        fails("name.truncated", "intermediary"),
        names=Names((SERVER4,), quirk=on_type("A", "truncated")),
    ),
    Network(
        "name-search-stranger",
        "a search domain has a wildcard, which leads to a web server",
        fails("name.search_domain", "client", check="identity"),
        names=Names((ABSENT4,), quirk=below("corp.example", SERVER4)),
        resolv=SEARCH,
        server=middleboxes.serve_web,
        representative=True,
    ),
    Network(
        "name-search-dead",
        "a search domain has a wildcard, which leads nowhere",
        fails("name.search_domain", "client", check="reach"),
        names=Names((SERVER4, SERVER6), quirk=below("corp.example", ABSENT4)),
        resolv=SEARCH,
    ),
    Network(
        "name-search-healthy",
        "five dots are demanded, and no search domain knows the name",
        passes(),
        names=SERVER,
        resolv=SEARCH,
    ),
)
