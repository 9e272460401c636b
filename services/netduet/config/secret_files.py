"""Secrets in files that a variable names: ``NETDUET_SERVER_TOKEN_FILE=/run/secrets/token``.

So a secret need not stand in the environment, which others may read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, get_args

from pydantic import SecretBytes, SecretStr

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

SUFFIX: Final = "_FILE"
"""Ends the name of a variable that names a secret's file."""

_MAX_BYTES: Final = 64 * 1024


def is_secret(info: FieldInfo) -> bool:
    """Whether a field's value must not be shown."""
    kinds = [info.annotation]
    for kind in kinds:  # SecretStr may be inside Annotated inside a union
        kinds.extend(get_args(kind))
    return not {SecretStr, SecretBytes}.isdisjoint(
        type_form for type_form in kinds if isinstance(type_form, type)
    )


def named_files(
    secrets: Mapping[str, str], variables: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield each secret field whose file is named by one of the variables, with its path.

    ``secrets`` are the variables of the secret fields, by field.
    """
    for field, variable in secrets.items():
        path = variables.get(variable + SUFFIX, "")
        if path:
            yield field, path


def contradictions(
    secrets: Mapping[str, str], variables: Mapping[str, str]
) -> Iterator[str]:
    """Yield a line for each secret that is given both as a value and as a file."""
    for field, _ in named_files(secrets, variables):
        variable = secrets[field]
        if variables.get(variable):
            yield f"{variable} and {variable}{SUFFIX} are both set: remove one of them"


def read_secret(name: str, path: str) -> str:
    """Return the content of a file, without the line end that an editor adds.

    Raises:
        ValueError: it cannot be used; the message names the variable and the file.
    """
    given = f"{name}={path}"
    try:
        with open(path, "rb", opener=_open) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(f"{given}: must be a regular file")
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{given}: cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise ValueError(f"{given}: must have at most {_MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{given}: must be UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"{given}: the file is empty")
    return text


def _open(path: str, flags: int) -> int:
    """Open without waiting: a pipe without a writer would hold the program up."""
    return os.open(path, flags | os.O_NONBLOCK)
