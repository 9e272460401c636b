"""Where settings come from: their names in each source, and names that are none."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

SECRETS: Final = Path("/run/secrets")
DOTENV: Final = Path(".env")

PREFIX: Final = "NETDUET_"
_MIN_SIMILARITY: Final = 0.6

# Kubernetes writes these for a Service whose name begins like ours
# (enableServiceLinks): netduet-server, but netduet-server-udp just as well.
_SERVICE_LINK = re.compile(
    r"(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)"
    r"|PORT_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)"
)
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")


class Settings(BaseSettings):
    """What a half's settings model stands on. Only ``load`` reads the sources."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from nowhere but the call: ``load`` knows where each came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def prefix(cls) -> str:
        """Return the prefix of this half's variables."""
        return str(cls.model_config["env_prefix"])

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the environment variable of a field."""
        return f"{cls.prefix()}{field.upper()}"


class SettingsError(Exception):
    """Settings that cannot be used; ``lines`` says one problem each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from: ``flag``, ``environment``, ``.env`` or ``secret``.

    ``name`` is what the setting is called there.
    """

    kind: str
    name: str

    def says(self, value: str) -> str:
        """Return the value as it was given there."""
        if self.kind == "secret":
            return f"{self.name}: {value}"
        where = ".env: " if self.kind == ".env" else ""
        return f"{where}{self.name}{' ' if self.kind == 'flag' else '='}{value}"


@dataclass(frozen=True, slots=True)
class SourcePaths:
    """Where settings are looked for; a value, so that a test can give its own."""

    dotenv: Path = DOTENV
    secrets: Path = SECRETS


def flag(model: type[Settings], field: str) -> str:
    """Return the flag of a field: its name, unless the declaration gives another."""
    extra = model.model_fields[field].json_schema_extra
    given = extra.get("flag") if isinstance(extra, dict) else None
    return str(given) if given else "--" + field.replace("_", "-")


def read(
    model: type[Settings],
    flags: Mapping[str, object],
    around: SourcePaths,
    links: list[str],
) -> Iterator[tuple[str, Source, object]]:
    """Yield each field that is set, with its source; the first one counts.

    What is empty is unset, except on the command line. ``links`` are variables of
    the environment that are no settings.

    Raises:
        SettingsError: a source cannot be read.

    """
    for kind, found in _sources(model, flags, around, links):
        for field, value in found.items():
            if value is None or (value == "" and kind != "flag"):
                continue
            if field in model.model_fields:
                yield field, Source(kind, _name(model, kind, field, around)), value


def _sources(
    model: type[Settings],
    flags: Mapping[str, object],
    around: SourcePaths,
    links: list[str],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "flag", flags
    environment = EnvSettingsSource(model)()
    for name in links:
        environment.pop(name.removeprefix(model.prefix()).lower(), None)
    yield "environment", environment
    if dotenv(around.dotenv):
        yield ".env", DotEnvSettingsSource(model, env_file=around.dotenv)()
    with _readable(around.secrets) as there:
        secrets = SecretsSettingsSource(model, secrets_dir=around.secrets)
        found = secrets() if there else {}
    yield "secret", found


def _name(model: type[Settings], kind: str, field: str, around: SourcePaths) -> str:
    if kind == "flag":
        return flag(model, field)
    if kind == "secret":
        return str(around.secrets / model.variable(field).lower())
    return model.variable(field)


@contextmanager
def _readable(path: Path) -> Iterator[bool]:
    """Turn what goes wrong with reading into a line; tell whether there is anything.

    A folder that may not be searched hides what is in it: that counts as nothing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            yield os.path.exists(path)  # noqa: PTH110 - Path.exists raises on EACCES
    except (OSError, UnicodeDecodeError, UserWarning, SourceError) as error:
        raise SettingsError([_unreadable(path, error)]) from None


def _unreadable(path: Path, error: Exception) -> str:
    match error.__cause__ if isinstance(error, SourceError) else error:
        case OSError() as found:
            return f"{found.filename or path}: cannot be read: {found.strerror}"
        case UnicodeDecodeError():
            return f"{path}: {'files ' if path.is_dir() else ''}must be UTF-8"
        case found:  # a warning: a file secret that is no file
            return str(found)


def service_links(model: type[Settings], names: Mapping[str, str]) -> list[str]:
    """Return the variables of our prefix that Kubernetes wrote, not a person."""
    prefix = model.prefix()
    return sorted(
        name
        for name, value in names.items()
        if name.startswith(prefix)
        and (
            _SERVICE_LINK.fullmatch(name.removeprefix(prefix))
            or (name.endswith("PORT") and _LINK_VALUE.match(value))
        )
    )


def unknown_names(
    model: type[Settings], around: SourcePaths, links: list[str]
) -> Iterator[str]:
    """Yield a line for each name of this half's prefix that no setting has.

    pydantic-settings ignores them silently, and a misspelt limit is no limit.
    """
    prefix = model.prefix()
    known = {model.variable(field) for field in model.model_fields}
    files = {name.lower() for name in known}
    for where, names, right in (
        ("", set(os.environ) - set(links), known),
        (f"{around.dotenv}: ", dotenv(around.dotenv), known),
        (f"{around.secrets}/", _files(around.secrets), files),
    ):
        for name in sorted(names):
            if name.upper().startswith(prefix) and name not in right:
                yield f"{where}{name}: no setting has this name{nearest(name, right)}"


def dotenv(path: Path) -> dict[str, str]:
    """Return what a ``.env`` file sets; nothing when there is none.

    Raises:
        SettingsError: it cannot be read, or a line of ours sets nothing.

    """
    with _readable(path) as there:
        if not there or not path.is_file():
            return {}
        from dotenv.main import dotenv_values, logger  # noqa: PLC0415 - comes along
        from dotenv.parser import parse_stream  # noqa: PLC0415

        logger.disabled = True  # what is wrong with a line is said here, or not ours
        text = path.read_text("utf-8")
        bad = [
            f"{path}: line {binding.original.line}: must be NAME=value"
            for binding in parse_stream(StringIO(text))
            if binding.error and PREFIX in binding.original.string.upper()
        ]
        if bad:
            raise SettingsError(bad)
        values = dotenv_values(stream=StringIO(text))
    return {name: value or "" for name, value in values.items()}


def _files(folder: Path) -> set[str]:
    with _readable(folder) as there:
        return {path.name for path in folder.iterdir()} if there else set()


def nearest(name: str, known: set[str]) -> str:
    """Return a remedy that names the nearest known name, or where to find them.

    What all of them begin with makes none of them nearer.
    """
    names = {right.upper(): right for right in sorted(known)}
    columns = zip(name.upper(), *names, strict=False)
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    words = {upper[shared:]: right for upper, right in names.items()}
    close = difflib.get_close_matches(name.upper()[shared:], words, 1, _MIN_SIMILARITY)
    return (
        f": did you mean {words[close[0]]}?" if close else "; see docs/configuration.md"
    )
