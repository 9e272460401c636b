"""netduet: two containers that prove a network."""

__version__ = "0.1.0"
