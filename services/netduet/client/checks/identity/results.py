"""What the check ``identity`` measures: the answer at each address."""

from __future__ import annotations

from dataclasses import dataclass

from netduet.client.net.dial import Address
from netduet.client.net.handshake import Handshake


@dataclass(frozen=True, slots=True)
class IdentityAnswer:
    """The handshake with one address."""

    address: Address
    handshake: Handshake

    @property
    def features(self) -> frozenset[str]:
        """The server's features; empty if no netduet server answered."""
        welcome = self.handshake.welcome
        return frozenset() if welcome is None else frozenset(welcome.features)

    @property
    def hold_limit(self) -> float | None:
        """Maximum seconds for which the server holds a connection, None if unknown."""
        welcome = self.handshake.welcome
        return None if welcome is None else welcome.limits.hold


@dataclass(frozen=True, slots=True)
class IdentityResult:
    """The answers, and the expected service ("" for any)."""

    answers: tuple[IdentityAnswer, ...]
    expected: str

    @property
    def known(self) -> tuple[IdentityAnswer, ...]:
        """The answers of netduet servers."""
        return tuple(
            answer for answer in self.answers if answer.handshake.welcome is not None
        )
