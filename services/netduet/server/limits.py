"""The limits that follow from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netduet.server.rate_limit import BURST_SECONDS, Rate, RateLimit
from netduet.wire.state_machine import Limits

if TYPE_CHECKING:
    from netduet.server.settings import ServerSettings


def rates(per_client: float, total: float) -> RateLimit:
    """Return limits that allow the amount of a few seconds at once."""
    return RateLimit(
        Rate(per_client, per_client * BURST_SECONDS),
        Rate(total, total * BURST_SECONDS),
    )


def traffic_rates(settings: ServerSettings) -> RateLimit:
    """Return the limits on bytes per second; the settings have bits per second."""
    return RateLimit(
        Rate(settings.traffic_rate_per_client / 8, settings.traffic_burst_per_client),
        Rate(settings.traffic_rate / 8, settings.traffic_burst),
    )


def connection_limits(settings: ServerSettings) -> Limits:
    """Return the limits of one connection."""
    return Limits(
        max_frame=settings.max_frame_size,
        max_text=settings.max_plain_text,
        max_question=settings.max_question_size,
        max_fields=settings.max_question_fields,
        first_byte=settings.first_byte_timeout,
        opening=settings.opening_timeout,
        frame=settings.frame_timeout,
        idle=settings.idle_timeout,
        hold=settings.hold_timeout,
        linger=settings.linger,
        linger_bytes=settings.linger_bytes,
        plain_linger=settings.plain_linger,
        plain_linger_bytes=settings.plain_linger_bytes,
    )
