"""Do connections live that nobody uses for a while?

Connections are held in silence, one for each time (a rung), and then used again: some
by this end, some by the server. A middlebox that resets whoever speaks first after
it has forgotten a connection tells the other end nothing, so either end wakes, and
the server's record of each connection that died is read over another one. A second
set is held with TCP keep-alive.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from netduet.client.checks.declaration import Check, Context
from netduet.client.checks.identity import Identity
from netduet.client.checks.ladder import judge_ladder
from netduet.client.conversation import Conversation, Ending, Opening, meeting
from netduet.client.dial import Address, classify
from netduet.client.evidence import Far, far_end
from netduet.client.verdict import Figures, Judgement, Side, Window
from netduet.wire.frames import Kind
from netduet.wire.messages import HoldQuestion, ReportQuestion
