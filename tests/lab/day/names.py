"""The cluster's DNS: two resolvers, each with a cache of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.lab.nameserver import Answer, Names, NameServer

DOMAIN: Final = "svc.test"
RESOLVERS: Final = ("198.18.0.11", "198.18.0.12")
VIRTUAL: Final = "198.19.0.10"
"""The address that pods ask; each query reaches either resolver."""

Records = Callable[[str], tuple[str, ...] | None]
"""The present addresses of a service; () if no pod is ready, None if there is no such
service."""


@dataclass(slots=True)
class CachingResolver:
    """Answers from its cache for ``ttl`` seconds, "no address" included."""

    records: Records
    ttl: float
    is_dead: bool = False
    _cache: dict[str, tuple[float, tuple[str, ...] | None]] = field(
        default_factory=dict
    )

    def answer(self, name: str, _: str, __: Answer) -> Answer:
        """Answer a query, as a quirk of the name server."""
        if self.is_dead:
            return None
        service = name.removesuffix(f".{DOMAIN}")
        if service == name:
            return "NXDOMAIN"
        now = time.monotonic()
        expires, addresses = self._cache.get(service, (0.0, None))
        if now >= expires:
            addresses = self.records(service)
            self._cache[service] = now + self.ttl, addresses
        return "NXDOMAIN" if addresses is None else addresses

    def fill(self, service: str, seconds: float) -> None:
        """Cache the present answer for so many seconds."""
        self._cache[service] = time.monotonic() + seconds, self.records(service)


async def serve(resolvers: tuple[CachingResolver, ...]) -> None:
    """Open the resolvers in the running loop, each on its address."""
    for resolver, address in zip(resolvers, RESOLVERS, strict=True):
        await NameServer.open(Names((), quirk=resolver.answer), address)


def resolv_conf() -> str:
    """Return resolv.conf of a pod."""
    return f"nameserver {VIRTUAL}\nsearch {DOMAIN}\noptions ndots:5\n"
