"""Whom to watch: the addresses behind names, looked up again and again, a few of each.

In a cluster of n where everybody watched everybody, there would be n² watches. By
rendezvous hashing (Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit
Rates", 1998) each client takes a few, always the same ones, and when one comes or
goes only 1/n of the choices change.

Many resolvers give some of many addresses, and others the next time: one that an answer
lacks need not be gone. It stays for a while, as long as nothing is wrong with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from netduet.client.net.dial import Address, Cause, Resolution, has_route, resolve
from netduet.client.results.target import Target

MAX_ABSENT_SECONDS: Final = 300.0
"""Seconds for which an address stays that no answer has: a resolver that gives 8 of 100 in
turn, others each 20 s, has given all of them within 250 s.
"""


def choose(
    addresses: Iterable[Address], client: str, limit: int
) -> tuple[Address, ...]:
    """Return the addresses that a client of this name is to watch; 0 is all of them. Pure."""
    known = sorted(
        set(addresses), key=lambda address: (score(address, client), str(address))
    )
    return tuple(known[:limit] if limit else known)


def score(address: Address, client: str) -> bytes:
    """Return by what an address is ranked for a client: the least are taken."""
    return hashlib.blake2b(f"{client}\0{address}".encode(), digest_size=8).digest()


@dataclass(slots=True)
class ResolvedTarget:
    """A target, and the addresses that its name had when it was resolved last."""

    target: Target
    addresses: tuple[Address, ...] = ()
    error: str = ""
    cause: Cause | None = None
    resolved: bool = False

    def update(self, resolution: Resolution) -> bool:
        """Take an answer; tell whether it is about trouble, or the end of some.

        A name that does not resolve keeps its addresses: what a resolver does not
        say now need not be gone.
        """
        before = self.error
        self.cause = resolution.cause
        self.error = "" if resolution.cause is None else resolution.detail
        if resolution.addresses:
            self.addresses, self.resolved = resolution.addresses, True
        return bool(before) != bool(self.error)


@dataclass(slots=True)
class TargetSet:
    """All targets. ``chosen`` are the addresses to watch, each with its target's name.

    ``lapsed`` are those of them that no name has any more, and the monotonic second of
    the first answer without.
    """

    targets: tuple[ResolvedTarget, ...]
    client: str
    max_per_name: int
    chosen: dict[Address, str] = field(default_factory=dict)
    absent_since: dict[Address, float] = field(default_factory=dict)

    async def look_up(
        self, family: socket.AddressFamily, timeout: float
    ) -> list[ResolvedTarget]:
        """Resolve all names, and choose; return those whose trouble began or ended."""
        lookups = (
            resolve(resolved.target.host, resolved.target.port, family, timeout)
            for resolved in self.targets
        )
        return self.update(await asyncio.gather(*lookups), time.monotonic())

    def update(self, answers: Sequence[Resolution], now: float) -> list[ResolvedTarget]:
        """Take an answer for each name, and choose; return as ``look_up`` does.

        Those that were chosen are chosen among with those that the names have now: what
        a resolver gives in turns comes to the same few.
        """
        changed = [
            resolved
            for resolved, answer in zip(self.targets, answers, strict=True)
            if resolved.update(answer)
        ]
        present = {
            address for resolved in self.targets for address in resolved.addresses
        }
        chosen: dict[Address, str] = {}
        for resolved_target in self.targets:
            target = str(resolved_target.target)
            previous = [
                address
                for address, name in self.chosen.items()
                if name == target and address not in present
            ]
            for address in choose(
                _preferred((*resolved_target.addresses, *previous)),
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
        return changed

    def has(self, address: Address) -> bool:
        """Tell whether a name has it, by the latest answer."""
        return any(address in resolved.addresses for resolved in self.targets)

    def expired(self, now: float) -> list[Address]:
        """Return those that no name has had for too long."""
        return [
            address
            for address, since in self.absent_since.items()
            if now - since >= MAX_ABSENT_SECONDS
        ]

    def forget(self, address: Address) -> None:
        """Choose it no more, until a name has it again."""
        self.chosen.pop(address, None)
        self.absent_since.pop(address, None)


def _preferred(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """Return those that this host has a route to, without its own where others are."""
    routed = [address for address in addresses if has_route(address)] or list(addresses)
    others = [address for address in routed if not is_local_address(address)]
    return tuple(others or routed)


def is_local_address(address: Address) -> bool:
    """Tell whether an address is this host's own, other than loopback."""
    if ipaddress.ip_address(address.host.partition("%")[0]).is_loopback:
        return False
    with socket.socket(address.family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(replace(address, port=0).sockaddr)
        except OSError:
            return False
    return True
