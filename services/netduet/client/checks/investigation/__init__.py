"""What else can be found out about a failure: who caused it, and where.

A check says what fails. Here its findings are looked into, only when there are any: who
sent an ICMP error or a reset, what this host's own kernel does with the packets, what
both ends' kernels counted meanwhile, whether the other transport passes, and up to which
router packets get. What is found becomes evidence, likely causes and a place.
"""

from __future__ import annotations

from netduet.client.checks.investigation.measure import investigate

__all__ = ["investigate"]
