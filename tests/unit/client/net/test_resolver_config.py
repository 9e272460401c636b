"""How names are looked up here: resolv.conf, nsswitch.conf, hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from netduet.client.net.resolver_config import (
    ResolverConfig,
    asks_dns,
    parse_resolv_conf,
    read_resolver_config,
)

KUBERNETES = """\
nameserver 10.96.0.10
search shop.svc.cluster.local svc.cluster.local cluster.local
options ndots:5
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ResolverConfig()),
        (
            "nameserver 127.0.0.11\noptions ndots:0",
            ResolverConfig(("127.0.0.11",), ndots=0),
        ),
        (
            (
                "# made by hand\n; nameserver 192.0.2.9\nnameserver 192.0.2.1 # first\n"
                "nameserver 2001:db8::1\nnameserver fe80::1%eth0\nnameserver 192.0.2.4\n"
            ),
            ResolverConfig(("192.0.2.1", "2001:db8::1", "fe80::1%eth0")),
        ),
        (
            "domain a.example\nsearch b.example. c.example\n",
            ResolverConfig(search=("b.example", "c.example")),
        ),
        (
            "search b.example\ndomain a.example\n",
            ResolverConfig(search=("a.example",)),
        ),
        (
            "options timeout:1 rotate ndots:99 no-aaaa attempts:x",
            ResolverConfig(ndots=15, timeout=1, rotate=True, no_aaaa=True),
        ),
        ("options ndots:many timeout:0\nsearch .\n", ResolverConfig(timeout=1)),
        ("nameserver\nsearch\noptions\n", ResolverConfig()),
    ],
)
def test_resolv_conf(text: str, expected: ResolverConfig) -> None:
    """The last of domain and search counts; options are limited as in <resolv.h>."""
    assert parse_resolv_conf(text) == expected


def test_search_list_is_the_domain_of_the_host_by_default() -> None:
    """See resolv.conf(5); a name in resolv.conf takes its place."""
    assert parse_resolv_conf("", "web.shop.example").search == ("shop.example",)
    assert parse_resolv_conf("search a.example", "web.b.example").search == (
        "a.example",
    )


@pytest.mark.parametrize(
    ("host", "names"),
    [
        (
            "web",
            (
                "web.shop.svc.cluster.local",
                "web.svc.cluster.local",
                "web.cluster.local",
                "web",
            ),
        ),
        ("a.b.c.d.e.f", ("a.b.c.d.e.f", "a.b.c.d.e.f.shop.svc.cluster.local")),
        ("web.", ("web",)),
    ],
)
def test_candidates(host: str, names: tuple[str, ...]) -> None:
    """Fewer dots than ndots: the search list first; a dot at the end: no search."""
    found = parse_resolv_conf(KUBERNETES).candidates(host)
    assert found[: len(names)] == names


@pytest.mark.parametrize(
    ("host", "nsswitch", "hosts", "asked"),
    [
        ("web", "", "", True),
        ("localhost", "", "", False),
        ("www.localhost.", "", "", False),
        ("web", "passwd: files\nhosts: files dns\n", "", True),
        ("web", "hosts: files dns", "192.0.2.1 other WEB # it\n", False),
        ("web", "hosts: files dns", "192.0.2.1 other # web\n", True),
        ("web", "hosts: dns files", "192.0.2.1 web", True),
        ("web", "hosts: files # dns", "", False),
        ("web", "hosts: files myhostname resolve [!UNAVAIL=return] dns", "", True),
        ("web", "hosts: files [SUCCESS=return dns=continue]", "", False),
        ("web.local", "hosts: files mdns4_minimal [NOTFOUND=return] dns", "", False),
        ("web.local", "hosts: files dns", "", True),
    ],
)
def test_asks_dns(host: str, nsswitch: str, hosts: str, *, asked: bool) -> None:
    """DNS is asked unless another source answers first, or it is no source at all."""
    assert asks_dns(host, nsswitch, hosts) == asked


def test_files_are_read_below_a_root(tmp_path: Path) -> None:
    """Missing files are as empty ones; without a server nothing is asked."""
    assert read_resolver_config("web", tmp_path) is None
    (tmp_path / "resolv.conf").write_text(KUBERNETES)
    config = read_resolver_config("web", tmp_path, lambda: "pod")
    assert config is not None
    assert config.servers == ("10.96.0.10",)
    (tmp_path / "hosts").write_text("192.0.2.1 web\n")
    assert read_resolver_config("web", tmp_path) is None
