"""Causes and next steps that depend on where the client runs."""

from __future__ import annotations

from typing import Self


class Advice(str):
    """A cause or a next step whose words fit a platform.

    As a string it is the text for hosts, and for when the platform is not known.
    ``container`` and ``pod`` are the texts there, "" where it does not apply.
    """

    __slots__ = ("container", "pod")

    container: str
    pod: str

    def __new__(
        cls, text: str, *, container: str | None = None, pod: str | None = None
    ) -> Self:
        """Return the text, with those that differ; None leaves the text as it is."""
        advice = super().__new__(cls, text)
        advice.container = text if container is None else container
        advice.pod = text if pod is None else pod
        return advice


def fit(texts: tuple[str, ...], engine: str) -> tuple[str, ...]:
    """Return the texts that apply under an engine (``ContainerFacts.engine``)."""
    chosen = (_choose(text, engine) for text in texts)
    return tuple(text for text in chosen if text)


def _choose(text: str, engine: str) -> str:
    if not isinstance(text, Advice):
        return text
    if engine == "kubernetes":
        return text.pod
    return text.container if engine else str(text)
