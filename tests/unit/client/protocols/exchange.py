"""Conversations without a network: what a service sends goes in, in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterable

from netduet.client.protocols import find_protocol
from netduet.client.protocols.base import Conversation, Recognition


def begin(name: str, host: str = "localhost") -> Conversation:
    """Start a conversation."""
    protocol = find_protocol(name)
    assert protocol is not None, name
    conversation = protocol.converse(host)
    conversation.start()
    return conversation


def converse(name: str, *received: bytes, host: str = "localhost") -> Conversation:
    """Start a conversation and let it receive."""
    conversation = begin(name, host)
    for data in received:
        conversation.receive(data)
    return conversation


def recognition_of(name: str, *received: bytes) -> Recognition:
    """Return what the service is recognised as, the same whole and byte by byte."""
    whole = converse(name, *received).recognition
    single = converse(name, *in_bytes(b"".join(received))).recognition
    assert whole == single
    assert whole is not None, received
    return whole


def is_foreign(name: str, *received: bytes) -> bool:
    """Return whether what a service sends is foreign to a protocol."""
    conversation = converse(name, *received)
    assert conversation.recognition is None
    return conversation.is_foreign


def in_bytes(data: bytes) -> Iterable[bytes]:
    """Return the data byte by byte."""
    return (data[place : place + 1] for place in range(len(data)))
