"""The error of this package."""

from __future__ import annotations


class BetweenError(Exception):
    """The pair could not be run; says nothing about the network. One line."""
