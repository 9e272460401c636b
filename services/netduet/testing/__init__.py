"""The pair as an instrument in tests: both containers on networks that a test gives.

``pip install netduet[testing]``; the images are made by ``make images``. A page with
an example: docs/testing.md.
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
