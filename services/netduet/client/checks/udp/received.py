"""The answers to a flow of numbered datagrams."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from netduet.client.checks.udp.results import MIN_LOSS_RUN
from netduet.wire.udp_count import CountAnswer, CountFlag, Tally


@dataclass(slots=True)
class ReceivedAnswers:
    """The answers of a flow; ``max_number`` is the highest plausible number of one."""

    max_number: int = 1000
    numbers: dict[int, int] = field(default_factory=dict)
    sequences: set[int] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    last_count: CountAnswer | None = None
    highest: int = 0
    contradictory: bool = False

    def add(self, answer: CountAnswer) -> None:
        """Count an answer; the server numbers its answers from one on."""
        if answer.flags & CountFlag.QUERY:
            if self.last_count is None or answer.received >= self.last_count.received:
                self.last_count = answer
            return
        number, sequence = answer.number, answer.sequence
        if (
            not 0 < number <= self.max_number
            or self.numbers.get(number, sequence) != sequence
        ):
            self.contradictory = True  # two servers, or one that has lost the flow
            return
        self.numbers[number] = sequence
        self.sequences.add(answer.sequence)
        self.highest = max(self.highest, answer.received)
        self.tally.take(number - 1)

    @property
    def final_count(self) -> CountAnswer | None:
        """The server's latest count, which includes later answers."""
        if self.last_count is None:
            return None
        received = max(self.last_count.received, self.highest)
        number = max(self.last_count.number, *self.numbers, 0)
        return replace(self.last_count, received=received, number=number)

    @property
    def contradicts(self) -> bool:
        """Whether the answers cannot all belong to one tally."""
        forgotten = self.last_count is not None and not self.last_count.received
        return self.contradictory or (forgotten and self.highest > 0)


def loss_runs(sent: dict[int, float], answered: set[int]) -> tuple[int, float, float]:
    """Return the datagrams lost in runs, the first run's start, and the total seconds.

    ``sent`` has the time of each datagram, in order.
    """
    count, start, seconds = 0, 0.0, 0.0
    lost_run: list[float] = []
    for sequence, sent_at in (*sent.items(), (None, 0.0)):
        if sequence is not None and sequence not in answered:
            lost_run.append(sent_at)
            continue
        if len(lost_run) >= MIN_LOSS_RUN:
            count += len(lost_run)
            start = start or lost_run[0]
            seconds += lost_run[-1] - lost_run[0]
        lost_run = []
    return count, start, seconds
