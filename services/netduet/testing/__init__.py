"""Runs both containers in tests, on networks that the test provides.

``pip install netduet[testing]``; ``make images`` builds the images. docs/testing.md has
an example.
"""

from netduet.client.report.json_report import CheckPart, FindingPart, TargetPart
from netduet.client.results.verdict import Outcome
from netduet.testing.duet import Duet
from netduet.testing.engine import DuetError
from netduet.testing.report import InconclusiveError, Report

__all__ = [
    "CheckPart",
    "Duet",
    "DuetError",
    "FindingPart",
    "InconclusiveError",
    "Outcome",
    "Report",
    "TargetPart",
]
