"""What ICMP errors and errno values mean."""

from __future__ import annotations

import errno
import socket

import pytest

from netduet.client.net.dial import Cause, ErrnoMeaning, errno_meaning, errno_name
from netduet.client.net.icmp_errors import IcmpMeaning, icmp_meaning


@pytest.mark.parametrize(
    ("family", "kind", "code", "meaning"),
    [
        (socket.AF_INET, 3, 3, IcmpMeaning.PORT),
        (socket.AF_INET, 3, 13, IcmpMeaning.PROHIBITED),
        (socket.AF_INET, 3, 1, IcmpMeaning.HOST),
        (socket.AF_INET, 3, 99, IcmpMeaning.OTHER),
        (socket.AF_INET, 11, 0, IcmpMeaning.TTL),
        (socket.AF_INET6, 1, 4, IcmpMeaning.PORT),
        (socket.AF_INET6, 1, 1, IcmpMeaning.PROHIBITED),
        (socket.AF_INET6, 1, 3, IcmpMeaning.HOST),
        (socket.AF_INET6, 3, 0, IcmpMeaning.TTL),
    ],
)
def test_icmp_type_and_code_give_the_meaning(
    family: socket.AddressFamily, kind: int, code: int, meaning: IcmpMeaning
) -> None:
    """Unknown codes have no meaning of their own."""
    assert icmp_meaning(family, kind, code) is meaning


def test_errno_name_and_number_have_the_same_meaning() -> None:
    """An ICMP notice has the name of an error, an exception its number."""
    assert errno_meaning("ECONNREFUSED") == errno_meaning(errno.ECONNREFUSED)
    assert errno_meaning(errno.ECONNREFUSED).cause is Cause.REFUSED
    assert errno_meaning("ECONNREFUSED").icmp is IcmpMeaning.PORT


@pytest.mark.parametrize("error", [None, 0, 99999, "EWHAT"])
def test_unknown_errno_has_no_meaning(error: int | str | None) -> None:
    """An errno without a meaning here is an ordinary error."""
    meaning = errno_meaning(error)
    assert meaning == ErrnoMeaning(Cause.OTHER)


def test_errno_without_a_name_is_shown_as_number() -> None:
    """Some kernels have errors that Python does not know."""
    assert errno_name(errno.ENETDOWN) == "ENETDOWN"
    assert errno_name(99999) == "99999"
