"""NTP: strata, kiss-o'-death, and answers that were not asked for."""

from __future__ import annotations

import pytest

from netduet.client.protocols.base import Refusal
from tests.unit.client.protocols import answers
from tests.unit.client.protocols.exchange import converse


def answer(
    stratum: int, *, code: bytes = bytes(4), flags: int = 0x24, number: int = 0
) -> bytes:
    """Return an answer of a server (RFC 5905 §7.3)."""
    origin = b"netduet" + bytes([number])
    return bytes([flags, stratum]) + bytes(10) + code + bytes(8) + origin + bytes(16)


def test_synchronised_server_says_its_stratum() -> None:
    """The plain case."""
    recognition = converse("ntp", answers.CHRONY).recognition
    assert recognition is not None
    assert recognition.notes == ("stratum 10",)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (answer(16), "not synchronised"),
        (answer(2, flags=0xE4), "not synchronised"),
        (answer(0), "not synchronised"),
        (answer(0, code=b"INIT"), "not synchronised: INIT"),
    ],
)
def test_server_without_time_is_noted(data: bytes, note: str) -> None:
    """It answers; its clock is another matter."""
    recognition = converse("ntp", data).recognition
    assert recognition is not None
    assert (recognition.notes, recognition.refusal) == ((note,), None)


@pytest.mark.parametrize(
    ("code", "refusal"),
    [(b"DENY", Refusal.DENIED), (b"RSTR", Refusal.DENIED), (b"RATE", Refusal.BUSY)],
)
def test_kiss_of_death_refuses(code: bytes, refusal: Refusal) -> None:
    """A client must not go on (RFC 5905 §7.4)."""
    conversation = converse("ntp", answer(0, code=code))
    assert conversation.recognition is not None
    assert conversation.recognition.refusal is refusal
    assert conversation.recognition.reason == code.decode()
    assert conversation.ask() == b""


def test_server_is_not_asked_again() -> None:
    """A client that asks every second is abusive."""
    assert converse("ntp", answers.CHRONY).ask() == b""


@pytest.mark.parametrize(
    "data",
    [b"", bytes(48), answer(2, flags=0x23), answer(2, flags=0x0C), answer(2)[:47]],
)
def test_other_datagrams_are_foreign(data: bytes) -> None:
    """Not an answer, an old version, too short."""
    assert converse("ntp", data).is_foreign
