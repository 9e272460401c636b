"""Counting answers as they arrive, in any order."""

from __future__ import annotations

import pytest

from netduet.client.checks.udp.received import ReceivedAnswers, loss_runs
from netduet.client.checks.udp.results import MIN_LOSS_RUN
from netduet.wire.udp_count import PLAIN, CountAnswer, CountFlag


def answer(sequence: int, number: int, received: int) -> CountAnswer:
    """Return the answer to a datagram."""
    return CountAnswer(1, sequence, PLAIN, received, 0, 0, number, 33)


def tally(received: int, number: int) -> CountAnswer:
    """Return the answer to a question for the tally."""
    return CountAnswer(1, 0, CountFlag.QUERY, received, 0, 0, number, 33)


def got(*answers: CountAnswer, most: int = 1000) -> ReceivedAnswers:
    """Return what is known when these have come."""
    known = ReceivedAnswers(most)
    for count_answer in answers:
        known.add(count_answer)
    return known


def test_answers_are_counted_by_their_numbers() -> None:
    """A repeated number is a duplicate; one behind a higher one is reordered."""
    known = got(answer(0, 1, 1), answer(2, 3, 3), answer(1, 2, 2), answer(2, 3, 3))
    assert known.sequences == {0, 1, 2}
    assert known.tally.received == 3
    assert (known.tally.duplicated, known.tally.reordered) == (1, 1)
    assert not known.contradicts


def test_same_question_answered_twice_is_two_answers() -> None:
    """A question duplicated on its way is answered twice, and both count."""
    known = got(answer(0, 1, 1), answer(0, 2, 1))
    assert (known.tally.received, known.sequences) == (2, {0})
    assert not known.contradicts


@pytest.mark.parametrize(
    "answers",
    [
        (answer(0, 1, 1), answer(1, 1, 1)),
        (answer(0, 11, 1),),
        (answer(0, 0, 1),),
        (answer(0, 1, 1), tally(0, 0)),
    ],
)
def test_inconsistent_answers_contradict(answers: tuple[CountAnswer, ...]) -> None:
    """One number for two questions, one too high, or a count that was reset."""
    assert got(*answers, most=10).contradicts


def test_no_final_count_without_query_answer() -> None:
    """Answers alone do not say what arrived in the end."""
    assert got(answer(0, 1, 1)).final_count is None


def test_highest_count_is_final() -> None:
    """A count that a later one overtakes is not lost."""
    known = got(tally(5, 5), tally(4, 4), answer(6, 7, 6))
    assert known.final_count is not None
    assert (known.final_count.received, known.final_count.number) == (6, 7)
    assert not known.contradicts


def test_loss_runs_are_consecutive_losses() -> None:
    """Scattered losses are no run, and neither is what was never sent."""
    sent = {number: number / 10 for number in range(100) if number != 44}
    row = set(range(40, 40 + MIN_LOSS_RUN + 1))
    answered = set(sent) - row - {7, 70, 72} - set(range(90, 90 + MIN_LOSS_RUN - 1))
    assert loss_runs(sent, answered) == (MIN_LOSS_RUN, 4.0, pytest.approx(0.8))


def test_loss_run_at_the_end_counts() -> None:
    """Losses up to the end are a run too."""
    sent = {number: number / 10 for number in range(20)}
    assert loss_runs(sent, set(range(10))) == (10, 1.0, pytest.approx(0.9))
