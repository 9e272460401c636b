"""What the applications on a path need, and which findings matter to them. Pure.

Without stated needs everything is required, except what a TCP proxy in between does not
promise, once both ends have seen that there is one.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from netduet.client.results.location import Direction
from netduet.client.results.verdict import (
    LONGEST_LIVED,
    OVER_UDP,
    RATE,
    CheckResult,
    Finding,
    Outcome,
    worst_outcome,
)
from netduet.config.units import (
    HOUR,
    parse_duration,
    parse_rate,
    show_duration,
    show_rate,
)

if TYPE_CHECKING:
    from netduet.client.results.failure import Failure

MAX_IDLE_SECONDS: Final = 24 * HOUR
MAX_RATE: Final = 1e12
"""Largest rate that can be required, in bit/s."""


class Need(StrEnum):
    """What an application may need of a network."""

    TCP = "tcp"
    """Connections that carry data whole: always required."""
    UDP = "udp"
    """Datagrams."""
    HALF_CLOSE = "half-close"
    """One end has ended its sending side, and still receives (RFC 9293 §3.6)."""
    RESET = "reset"
    """A reset arrives as a reset (RFC 9293 §3.5.3), not as a normal close."""
    IDLE = "idle"
    """A connection that was silent for a time is still alive."""
    RATE = "rate"
    """A rate, in each direction."""

    @property
    def check(self) -> str:
        """The check that tests it."""
        return _CHECKS[self]


_CHECKS: Final = {
    Need.TCP: "reach",
    Need.UDP: "udp",
    Need.HALF_CLOSE: "close",
    Need.RESET: "close",
    Need.IDLE: "idle",
    Need.RATE: "load",
}

_FORMS: Final = {Need.IDLE: "idle=10m", Need.RATE: "rate=100M"}
"""Needs that have a value, with an example."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What is required of a path.

    ``needs`` are the needs that were stated, None if none was: then everything is
    required. ``idle`` is the longest silence that connections must survive, in seconds,
    0 if none was stated; ``any_idle``: every silence that is tested counts. ``rate`` is
    in bit/s, 0 for none.
    """

    needs: frozenset[Need] | None = None
    idle: float = 0.0
    any_idle: bool = False
    rate: float = 0.0

    @property
    def words(self) -> tuple[str, ...]:
        """The needs as a person types them; empty if none was stated."""
        values = {
            Need.IDLE: f"={show_duration(self.idle)}" if self.idle else "",
            Need.RATE: f"={show_rate(self.rate)}" if self.rate else "",
        }
        return tuple(
            need + values.get(need, "") for need in Need if need in (self.needs or ())
        )

    def __or__(self, other: Requirements) -> Requirements:
        """Return what either requires."""
        if self.needs is None or other.needs is None:
            return self if other.needs is None else other
        return Requirements(
            self.needs | other.needs,
            max(self.idle, other.idle),
            self.any_idle or other.any_idle,
            max(self.rate, other.rate),
        )


PURPOSES: Final = {
    "http": Requirements(frozenset({Need.TCP})),
    # Pools also keep idle connections, for ten minutes (HikariCP's idleTimeout,
    # PgBouncer's server_idle_timeout). That takes ten minutes to test, and a
    # netduet-server: a database ends connections without a login before.
    "database": Requirements(frozenset({Need.TCP})),
    # RFC 7766 §5: both transports are required.
    "dns": Requirements(frozenset({Need.TCP, Need.UDP})),
    "everything": Requirements(frozenset(Need) - {Need.RATE}, any_idle=True),
}
"""What kinds of applications need, by the word that stands for them."""


def parse_requirements(
    needs: Sequence[str] = (), purposes: Sequence[str] = ()
) -> Requirements:
    """Return the union of needs (``udp``, ``idle=10m``) and of purposes (``dns``).

    Raises:
        ValueError: one is unknown or invalid; the message says what would be valid.
    """
    requirements = Requirements()
    for word in needs:
        requirements |= _parse_need(word)
    for purpose in purposes:
        if purpose not in PURPOSES:
            known = ", ".join(PURPOSES)
            raise ValueError(f"{purpose!r} is unknown; the known ones are {known}")
        requirements |= PURPOSES[purpose]
    return requirements


def _parse_need(word: str) -> Requirements:
    name, equals, value = word.partition("=")
    try:
        need = Need(name)
    except ValueError:
        known = ", ".join(_FORMS.get(known, known) for known in Need)
        raise ValueError(f"{word!r} is no need; the needs are {known}") from None
    needs = frozenset({Need.TCP, need})
    form = _FORMS.get(need, "")
    if not form:
        if equals:
            raise ValueError(f"{word!r}: {name} has no value")
        return Requirements(needs)
    if not value:
        raise ValueError(f"{word!r} needs a value, as in {form}")
    if need is Need.IDLE:
        seconds = _number(parse_duration, word, value, MAX_IDLE_SECONDS, show_duration)
        return Requirements(needs, idle=seconds)
    return Requirements(
        needs, rate=_number(parse_rate, word, value, MAX_RATE, show_rate)
    )


def _number(
    parse: Callable[[object], object],
    word: str,
    value: str,
    largest: float,
    show: Callable[[float], str],
) -> float:
    """Return the value of a need.

    Raises:
        ValueError: it is none, or out of range.
    """
    try:
        number = parse(value)
    except ValueError as error:
        raise ValueError(f"{word!r}: {error}") from None
    if not isinstance(number, float) or not 0 < number <= largest:
        raise ValueError(f"{word!r} must be more than 0 and at most {show(largest)}")
    return number


def is_note(
    finding: Finding, failure: Failure, requirements: Requirements, *, proxied: bool
) -> bool:
    """Whether a finding of this class is a note: no application here needs the opposite.

    ``proxied``: both ends have seen a TCP proxy in between. It excuses only what no
    TCP proxy promises, and only where no needs were stated.
    """
    if not failure.need:
        return False
    if requirements.needs is None:
        return proxied and failure.by_proxy
    if not {failure.need, failure.also_need} - {""} <= requirements.needs:
        # A rate is required wherever one was set: without one, none is too low.
        return failure.need != Need.RATE
    if failure.need != Need.IDLE or requirements.any_idle:
        return False
    died = finding.figures.get("died")
    return isinstance(died, int | float) and died > requirements.idle


def with_notes(
    check_result: CheckResult,
    failures: Mapping[str, Failure],
    requirements: Requirements,
    *,
    proxied: bool,
) -> CheckResult:
    """Return the result with what is required by no application as notes.

    Without other findings it passes; a check that ``blocks`` then proves too little,
    and counts as skipped.
    """
    notes = tuple(
        finding
        for finding in check_result.findings
        if is_note(finding, failures[finding.failure], requirements, proxied=proxied)
    )
    if not notes:
        return check_result
    others = tuple(each for each in check_result.findings if each not in notes)
    otherwise = Outcome.SKIP if check_result.blocks else Outcome.PASS
    return replace(
        check_result,
        outcome=worst_outcome(others, otherwise),
        findings=others,
        notes=check_result.notes + notes,
    )


def unmet_needs(
    results: Sequence[CheckResult], requirements: Requirements
) -> tuple[str, ...]:
    """Return the stated needs that were not tested at every address, as a person types them."""
    by_name = {check_result.check: check_result for check_result in results}
    return tuple(
        word
        for word in requirements.words
        if not _is_tested(Need(word.partition("=")[0]), by_name, requirements)
    )


def _is_tested(
    need: Need, results: Mapping[str, CheckResult], requirements: Requirements
) -> bool:
    if need is Need.IDLE and not requirements.idle:
        return True  # whatever silences the profile tests
    check_result = results.get(need.check)
    if check_result is None or check_result.partial:
        return False
    if check_result.outcome not in {Outcome.PASS, Outcome.FAIL}:
        return False
    if check_result.outcome is Outcome.FAIL:
        return True
    match need:
        case Need.TCP:
            return not any(each.figures.get(OVER_UDP) for each in results.values())
        case Need.IDLE:
            return _all_at_least(requirements.idle, check_result, LONGEST_LIVED)
        case Need.RATE:
            return all(
                _all_at_least(requirements.rate, check_result, f"{way}.{RATE}")
                for way in Direction
            )
    return True


def _all_at_least(least: float, check_result: CheckResult, name: str) -> bool:
    """Whether a figure is known of each address, and at least so large."""
    values = [
        value
        for key, value in check_result.figures.items()
        if key.lstrip(string.digits).removeprefix(".") == name
    ]
    return bool(values) and all(
        isinstance(value, int | float) and value >= least for value in values
    )
