"""What has come back of a flow of numbered datagrams."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from netduet.client.checks.udp.results import ROW
from netduet.wire.udp_count import CountAnswer, CountFlag, Tally


@dataclass(slots=True)
class ReceivedAnswers:
    """The answers of a flow so far; ``most`` is the highest number one may have."""

    most: int = 1000
    numbers: dict[int, int] = field(default_factory=dict)
    sequences: set[int] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    last: CountAnswer | None = None
    highest: int = 0
    mixed: bool = False

    def take(self, answer: CountAnswer) -> None:
        """Count an answer; the server counts its own from one on."""
        if answer.flags & CountFlag.QUERY:
            if self.last is None or answer.received >= self.last.received:
                self.last = answer
            return
        number, sequence = answer.number, answer.sequence
        if (
            not 0 < number <= self.most
            or self.numbers.get(number, sequence) != sequence
        ):
            self.mixed = True  # two servers, or one that has forgotten the flow
            return
        self.numbers[number] = sequence
        self.sequences.add(answer.sequence)
        self.highest = max(self.highest, answer.received)
        self.tally.take(number - 1)

    @property
    def final(self) -> CountAnswer | None:
        """The server's last word, and what answers behind it added to it."""
        if self.last is None:
            return None
        received = max(self.last.received, self.highest)
        number = max(self.last.number, *self.numbers, 0)
        return replace(self.last, received=received, number=number)

    @property
    def contradicts(self) -> bool:
        """The answers cannot all be of one tally."""
        forgotten = self.last is not None and not self.last.received
        return self.mixed or (forgotten and self.highest > 0)


def rows(sent: dict[int, float], answered: set[int]) -> tuple[int, float, float]:
    """Return how many were lost in rows, when the first row began, how long they took.

    Args:
        sent: when each datagram left, in their order.
        answered: those that were answered.

    """
    count, start, seconds = 0, 0.0, 0.0
    row: list[float] = []
    for sequence, at in (*sent.items(), (None, 0.0)):
        if sequence is not None and sequence not in answered:
            row.append(at)
            continue
        if len(row) >= ROW:
            count += len(row)
            start = start or row[0]
            seconds += row[-1] - row[0]
        row = []
    return count, start, seconds
