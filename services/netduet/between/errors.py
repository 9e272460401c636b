"""The errors of this package."""

from __future__ import annotations


class BetweenError(Exception):
    """The pair could not be run; says nothing about the network. One line."""


class PortTakenError(BetweenError):
    """The pair's server cannot have its port."""
