"""Which addresses to watch: those behind the names, resolved periodically, a few of each.

If each of n members of a cluster watched all others, there would be n² watches. With
rendezvous hashing (Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit
Rates", 1998) each client chooses a few, always the same ones, and only 1/n of the
choices change when a member comes or goes.

Many resolvers return a changing subset of many addresses, so an address that is missing
from an answer may still exist. It is kept for a while, as long as it works.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import Address, Cause, Resolution, has_route, resolve

if TYPE_CHECKING:
    from netduet.client.results.target import Target
    from netduet.client.watch.endpoint_lookup import EndpointLookup

MAX_ABSENT_SECONDS: Final = 300.0
"""Seconds for which an address is kept that no answer contains. A resolver that rotates
through 100 addresses, 8 at a time, every 20 s has returned all of them within 250 s."""

EMPTY_SECONDS: Final = 35.0
"""Seconds since the last answer with addresses for which an empty one counts for nothing:
resolvers cache empty answers too, each on its own, CoreDNS for 30 s (kubeadm)."""

DEPARTED_SECONDS: Final = 60.0
"""Seconds for which an address that left DNS during a problem is not watched again,
unless an instance answers there. The caches of resolvers last for 30 s (CoreDNS as
kubeadm configures it), and two resolvers need not agree before both have expired."""

PATIENCE_SECONDS: Final = 35.0
"""Seconds for which an address of a name may not have answered yet. A cache of 30 s may
still have that of a server that had left before the watch began."""

MAX_DEPARTED: Final = 1024
"""Addresses whose departure is remembered."""


@dataclass(slots=True)
class Departure:
    """An address that is not watched ``until`` then, unless an instance answers there.

    ``listed`` is when a name had it last. Monotonic seconds.
    """

    since: float
    until: float
    listed: float


def choose(
    addresses: Iterable[Address], client: str, limit: int
) -> tuple[Address, ...]:
    """Return the addresses that this client watches; ``limit`` 0 means all. Pure."""
    known = sorted(
        set(addresses), key=lambda address: (score(address, client), str(address))
    )
    return tuple(known[:limit] if limit else known)


def score(address: Address, client: str) -> bytes:
    """Return the rank of an address for a client; the lowest are chosen."""
    return hashlib.blake2b(f"{client}\0{address}".encode(), digest_size=8).digest()


@dataclass(slots=True)
class ResolvedTarget:
    """A target, and the addresses from its latest successful resolution."""

    target: Target
    addresses: tuple[Address, ...] = ()
    error: str = ""
    cause: Cause | None = None
    resolved: bool = False
    is_empty: bool = False
    """Whether the error is that the name exists without an address."""
    answered_at: float = float("-inf")
    """The monotonic second of the latest answer with addresses."""

    @property
    def patience(self) -> float:
        """Seconds for which an address of it may not answer: 0 for an IP address."""
        try:
            ipaddress.ip_address(self.target.host.partition("%")[0])
        except ValueError:
            return PATIENCE_SECONDS
        return 0.0

    def update(self, resolution: Resolution) -> bool:
        """Store an answer; return whether an error started or ended.

        A name that does not resolve keeps its addresses: an error does not mean that
        they are gone. Nor does an empty answer, as long as caches may be behind.
        """
        if resolution.is_empty and resolution.end - self.answered_at < EMPTY_SECONDS:
            return False
        before = self.error
        self.cause, self.is_empty = resolution.cause, resolution.is_empty
        self.error = "" if resolution.cause is None else resolution.detail
        if resolution.addresses:
            self.addresses, self.resolved = resolution.addresses, True
            self.answered_at = resolution.end
        return bool(before) != bool(self.error)


@dataclass(slots=True)
class TargetSet:
    """All targets. ``chosen`` are the addresses to watch, each with its target's name.

    ``absent_since`` has those that no name resolves to any more, with the monotonic
    second of the first answer without them. ``endpoints`` is asked before DNS.
    ``departed`` are not chosen, whatever names say.
    """

    targets: tuple[ResolvedTarget, ...]
    client: str
    max_per_name: int
    chosen: dict[Address, str] = field(default_factory=dict)
    absent_since: dict[Address, float] = field(default_factory=dict)
    endpoints: EndpointLookup | None = None
    departed: dict[Address, Departure] = field(default_factory=dict)

    async def look_up(
        self, family: socket.AddressFamily, timeout: float
    ) -> list[ResolvedTarget]:
        """Resolve all names and choose; return targets whose error started or ended."""
        lookups = (
            self._find(resolved.target, family, timeout) for resolved in self.targets
        )
        return self.update(await asyncio.gather(*lookups), time.monotonic())

    async def _find(
        self, target: Target, family: socket.AddressFamily, timeout: float
    ) -> Resolution:
        if self.endpoints is not None:
            found = await self.endpoints.find(target, family, timeout)
            if found is not None:
                return found
        return await resolve(target.host, target.port, family, timeout)

    def update(self, answers: Sequence[Resolution], now: float) -> list[ResolvedTarget]:
        """Store an answer for each name and choose; return as ``look_up`` does.

        The addresses chosen before take part in the choice, so a rotating answer leads
        to the same few.
        """
        changed = [
            resolved
            for resolved, answer in zip(self.targets, answers, strict=True)
            if resolved.update(answer)
        ]
        self._choose(now)
        return changed

    def _choose(self, now: float) -> None:
        present = {
            address for resolved in self.targets for address in resolved.addresses
        }
        self._expire_departures(present, now)
        chosen: dict[Address, str] = {}
        for resolved_target in self.targets:
            target = str(resolved_target.target)
            previous = [
                address
                for address, name in self.chosen.items()
                if name == target and address not in present
            ]
            candidates = (
                address
                for address in (*resolved_target.addresses, *previous)
                if address not in self.departed
            )
            for address in choose(
                _preferred(tuple(candidates)),
                self.client,
                self.max_per_name,
            ):
                chosen.setdefault(address, target)
        self.chosen = chosen
        self.absent_since = {
            address: self.absent_since.get(address, now)
            for address in chosen
            if address not in present
        }

    def _expire_departures(self, present: set[Address], now: float) -> None:
        """Forget departures that are over, and those that no name has had for long."""
        for address, departure in list(self.departed.items()):
            listed = address in present
            if listed:
                departure.listed = now
            over = listed and now >= departure.until
            if over or now - departure.listed >= MAX_ABSENT_SECONDS:
                del self.departed[address]

    def find(self, name: str) -> ResolvedTarget:
        """Return the target of this name, as it is shown."""
        return next(
            resolved for resolved in self.targets if str(resolved.target) == name
        )

    def has(self, address: Address) -> bool:
        """Whether the latest answer for a name has this address."""
        return any(address in resolved.addresses for resolved in self.targets)

    def expired(self, now: float) -> list[Address]:
        """Return the addresses that were absent for too long."""
        return [
            address
            for address, since in self.absent_since.items()
            if now - since >= MAX_ABSENT_SECONDS
        ]

    def depart(self, address: Address, now: float, *, announced: bool) -> None:
        """Do not choose an address until an instance answers there (``take_back``).

        Without an announcement that its server would shut down, it is chosen again after
        a time in which caches expire, if a name still has it then.
        """
        self.forget(address)
        until = float("inf") if announced else now + DEPARTED_SECONDS
        self.departed[address] = Departure(now, until, now)
        if len(self.departed) > MAX_DEPARTED:
            del self.departed[next(iter(self.departed))]

    def take_back(self, address: Address, now: float) -> None:
        """Choose again, among others, an address at which an instance answers."""
        if self.departed.pop(address, None) is not None:
            self._choose(now)

    def listed_departures(self) -> dict[Address, str]:
        """Return the departed addresses that names have, each with its target's name."""
        return {
            address: str(resolved.target)
            for resolved in self.targets
            for address in resolved.addresses
            if address in self.departed
        }

    def forget(self, address: Address) -> None:
        """Stop choosing an address until a name has it again."""
        self.chosen.pop(address, None)
        self.absent_since.pop(address, None)


def _preferred(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """Return the addresses with a route, this host's own only if there are no others."""
    routed = [address for address in addresses if has_route(address)] or list(addresses)
    others = [address for address in routed if not is_local_address(address)]
    return tuple(others or routed)


def is_local_address(address: Address) -> bool:
    """Whether an address is this host's own, other than loopback."""
    if ipaddress.ip_address(address.host.partition("%")[0]).is_loopback:
        return False
    with socket.socket(address.family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(replace(address, port=0).sockaddr)
        except OSError:
            return False
    return True
