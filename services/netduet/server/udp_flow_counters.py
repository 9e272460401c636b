"""The tallies of UDP flows, bounded in number."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netduet.wire.udp_count import CountAnswer, CountFlag, CountQuestion, Tally

if TYPE_CHECKING:
    from netduet.server.address import Address

MAX_FLOWS: Final = 256
"""Flows that are counted at once; the one that was silent longest is dropped first.

A tally takes at most 8 KiB, so all of them 2 MiB."""


@dataclass(slots=True)
class _FlowCounter:
    dropped_before: int | None
    tally: Tally = field(default_factory=Tally)
    answered: int = 0


class UdpFlowCounters:
    """The tallies of the latest flows, by sender and flow number."""

    def __init__(self, max_flows: int = MAX_FLOWS) -> None:
        self._max_flows = max_flows
        self._flows: OrderedDict[tuple[Address, int], _FlowCounter] = OrderedDict()
        self._last: _FlowCounter | None = None

    def __len__(self) -> int:
        return len(self._flows)

    def answer(
        self,
        peer: Address,
        question: CountQuestion,
        length: int,
        room: int,
        dropped: int | None = None,
    ) -> bytes:
        """Count a question; return the payload of its answer.

        ``length`` is the size of the question's payload and ``room`` that of the
        answer's, unless a short answer is asked for; ``dropped`` counts the datagrams
        that the socket has had no room for, None if unknown.
        """
        key = (peer, question.flow)
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _FlowCounter(dropped)
            if len(self._flows) > self._max_flows:
                self._flows.popitem(last=False)
        self._flows.move_to_end(key)
        if not question.flags & CountFlag.QUERY:
            flow.tally.take(question.sequence)
            flow.answered += 1
        self._last = None if question.flags & CountFlag.QUERY else flow
        answer = CountAnswer(
            question.flow,
            question.sequence,
            question.flags,
            flow.tally.received,
            flow.tally.duplicated,
            flow.tally.reordered,
            flow.answered,
            length,
            None
            if dropped is None or flow.dropped_before is None
            else (dropped - flow.dropped_before) % 2**32,
        )
        return answer.serialize(0 if question.flags & CountFlag.SHORT else room)

    def take_back(self) -> None:
        """Do not count the last answer: it could not be sent."""
        if self._last is not None:
            self._last.answered -= 1
            self._last = None
