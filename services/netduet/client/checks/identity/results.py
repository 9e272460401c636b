"""Who answered at each address: what the check ``identity`` measured."""

from __future__ import annotations

from dataclasses import dataclass

from netduet.client.net.dial import Address
from netduet.client.net.handshake import Handshake


@dataclass(frozen=True, slots=True)
class IdentityAnswer:
    """What came of an opening at one address."""

    address: Address
    handshake: Handshake

    @property
    def features(self) -> frozenset[str]:
        """What the server can do; nothing where no netduet server responds."""
        welcome = self.handshake.welcome
        return frozenset() if welcome is None else frozenset(welcome.features)

    @property
    def hold_limit(self) -> float | None:
        """Seconds for which the server holds a connection at most, None if not said."""
        welcome = self.handshake.welcome
        return None if welcome is None else welcome.limits.hold


@dataclass(frozen=True, slots=True)
class IdentityResult:
    """The answers, and the service that was expected ("" for any)."""

    answers: tuple[IdentityAnswer, ...]
    expected: str

    @property
    def known(self) -> tuple[IdentityAnswer, ...]:
        """Those that a netduet gave."""
        return tuple(
            answer for answer in self.answers if answer.handshake.welcome is not None
        )
