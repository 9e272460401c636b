"""The summary of the check ``size``: which sizes arrive. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from netduet.client.checks.size.black_hole import largest_passed
from netduet.client.checks.size.results import SizeResult, SizeTrial


def describe_results(results: Sequence[SizeResult]) -> str:
    """Return which sizes arrive; by address if they differ."""
    texts = {result.address: _describe_result(result) for result in results}
    if len(set(texts.values())) == 1:
        return _describe_result(results[0])
    return "; ".join(f"{address}: {text}" for address, text in texts.items())


def _describe_result(result: SizeResult) -> str:
    up = _describe_direction(result.up)
    if not result.down:
        return f"to the service: {up}"
    down = _describe_direction(result.down)
    if up == down:
        return f"{up} in both directions"
    return f"to the server: {up}; from the server: {down}"


def _describe_direction(trials: tuple[SizeTrial, ...]) -> str:
    passed = [trial.size for trial in trials if trial.delivered]
    whole = [trial.size for trial in trials if trial.is_full_packet and trial.delivered]
    if whole:
        return (
            f"full-size segments ({whole[0]:,} bytes) and transfers of up to "
            f"{max(passed):,} bytes arrive"
        )
    longest = largest_passed(trials)
    if longest is not None:
        return f"packets with up to {longest.size:,} bytes arrive"
    return "not even short packets arrive" if passed else "nothing arrives"
