"""Runs both containers in tests, on networks that the test provides.

``pip install netduet[testing]``; ``make images`` builds the images. docs/testing.md has
an example.
"""

from netduet.client.report.json_report import CheckPart, FindingPart, TargetPart
from netduet.client.results.verdict import Outcome
from netduet.config.extras import installation_hint

try:
    from netduet.testing.duet import Duet
    from netduet.testing.engine import DuetError
    from netduet.testing.report import InconclusiveError, Report
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(installation_hint(error.name or "")) from None

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
