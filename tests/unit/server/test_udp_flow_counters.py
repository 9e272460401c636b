"""Counts of UDP flows: keys, answers, and their limit."""

from __future__ import annotations

from netduet.server.udp_flow_counters import MAX_FLOWS, UdpFlowCounters
from netduet.wire import udp_count
from netduet.wire.udp_count import ANSWER_SIZE, CountAnswer, CountFlag, CountQuestion

PEER = ("192.0.2.1", 1024)


def ask(
    flows: UdpFlowCounters,
    sequence: int,
    *,
    flow: int = 1,
    flags: int = 0,
    peer: tuple[str, int] = PEER,
    size: int = 50,
) -> CountAnswer:
    """Count a datagram; return what is answered."""
    question = CountQuestion(flow, sequence, CountFlag(flags))
    answer = udp_count.parse_answer(flows.answer(peer, question, size, size))
    assert answer is not None
    return answer


def tally(answer: CountAnswer) -> tuple[int, int, int, int]:
    """Return how many arrived, came again, came late, and were answered."""
    return answer.received, answer.duplicated, answer.reordered, answer.number


def test_answer_repeats_the_question() -> None:
    """The answer has the question's flow, sequence, flags and size, and the count."""
    answer = ask(UdpFlowCounters(), 9, flow=2**64 - 1, flags=CountFlag.SHORT, size=77)
    assert answer == CountAnswer(2**64 - 1, 9, CountFlag.SHORT, 1, 0, 0, 1, 77)


def test_each_datagram_is_counted_once_and_answered() -> None:
    """Duplicate and late datagrams are distinguished from new ones."""
    flows = UdpFlowCounters()
    counts = [tally(ask(flows, sequence)) for sequence in (0, 2, 1, 2, 5)]
    assert counts == [
        (1, 0, 0, 1),
        (2, 0, 0, 2),
        (3, 0, 1, 3),
        (3, 1, 1, 4),
        (4, 1, 1, 5),
    ]


def test_query_changes_nothing() -> None:
    """A query is neither counted nor an answer, however often it is sent."""
    flows = UdpFlowCounters()
    ask(flows, 3)
    for _ in range(3):
        assert tally(ask(flows, 7, flags=CountFlag.QUERY)) == (1, 0, 0, 1)
    assert tally(ask(flows, 7)) == (2, 0, 0, 2)


def test_answer_is_as_long_as_the_question_unless_short() -> None:
    """Zeros pad the answer to the question's size; SHORT leaves them out."""
    flows = UdpFlowCounters()
    for flags, size in ((0, 60), (CountFlag.SHORT, ANSWER_SIZE)):
        question = CountQuestion(1, 0, CountFlag(flags))
        answer = flows.answer(PEER, question, 60, 60)
        assert len(answer) == size
        assert not any(answer[ANSWER_SIZE:])


def test_flows_differ_by_number_address_and_port() -> None:
    """A datagram counts in its own flow only."""
    flows = UdpFlowCounters()
    others = [("192.0.2.1", 1025), ("192.0.2.2", 1024), ("2001:db8::1", 1024)]
    for peer in (PEER, *others):
        for flow in (0, 1):
            assert tally(ask(flows, 0, flow=flow, peer=peer)) == (1, 0, 0, 1)
    assert len(flows) == 8


def test_least_recent_flow_is_forgotten() -> None:
    """Beyond the limit, the flow that was silent for longest starts anew."""
    flows = UdpFlowCounters(3)
    for flow in (1, 2, 3):
        ask(flows, 0, flow=flow)
    ask(flows, 0, flow=1, flags=CountFlag.QUERY)  # that is speaking, too
    ask(flows, 0, flow=4)
    assert len(flows) == 3
    known = [ask(flows, 1, flow=flow).received for flow in (1, 3, 4)]
    assert known == [2, 2, 2]
    assert ask(flows, 1, flow=2).received == 1


def test_number_of_flows_is_bounded() -> None:
    """However many flows come, no more than the limit are remembered."""
    flows = UdpFlowCounters()
    for flow in range(3 * MAX_FLOWS):
        ask(flows, 65_535, flow=flow)
    assert len(flows) == MAX_FLOWS


def test_full_counter_saturates() -> None:
    """A flow beyond the largest count is still answered."""
    flows = UdpFlowCounters()
    ask(flows, 0)
    flow = flows._flows[PEER, 1]
    flow.answered = flow.tally.duplicated = 2**32 - 2
    for _ in range(3):
        answer = ask(flows, 0)
    assert (answer.number, answer.duplicated) == (2**32 - 1, 2**32 - 1)


def test_unsent_answer_is_not_counted() -> None:
    """A local send error is no loss on the way back; a query changes nothing."""
    flows = UdpFlowCounters()
    assert ask(flows, 0).number == 1
    flows.take_back()
    flows.take_back()
    assert ask(flows, 1).number == 1
    assert ask(flows, 1, flags=CountFlag.QUERY).number == 1
    flows.take_back()
    assert ask(flows, 2).number == 2
