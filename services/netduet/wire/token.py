"""Proof of a shared token, which is never sent (RFC 2104; P-88).

The server's part of the input is the ``conn_id``, 128 random bits of its own for each
connection: a proof that was overheard is worth nothing on another connection.
"""

from __future__ import annotations

import hmac
from typing import Final

FEATURE: Final = "token"
"""What a server announces that demands a token."""

_PURPOSE: Final = b"netduet token 1"


def prove(token: bytes, conn_id: str, nonce: str) -> str:
    """Return the proof in hex: ``conn_id`` is the server's, ``nonce`` the client's."""
    message = b"\0".join((_PURPOSE, conn_id.encode(), nonce.encode()))
    return hmac.digest(token, message, "sha256").hex()


def is_proven(token: bytes, conn_id: str, nonce: str, proof: str) -> bool:
    """Whether a proof is that of the token; takes the same time for any proof."""
    return hmac.compare_digest(prove(token, conn_id, nonce), proof)
