"""Whole conversations between both ends, also with a hostile peer: see tests.fuzz."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.conversation import Conversation

FEW = settings(
    max_examples=100,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_conversations_end_and_leave_no_question_open() -> None:
    """Whatever a peer does: no exception, bounded buffers, and both ends come to an end."""
    run_state_machine_as_test(Conversation, settings=FEW)
