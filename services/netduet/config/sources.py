"""Where settings come from: their name in each source, and unknown names."""

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
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from netduet.config.secret_files import (
    SUFFIX,
    contradictions,
    is_secret,
    named_files,
    read_secret,
)

SECRETS: Final = Path("/run/secrets")
DOTENV: Final = Path(".env")

PREFIX: Final = "NETDUET_"
_MIN_SIMILARITY: Final = 0.6

# Kubernetes sets these for a Service whose name starts like ours (enableServiceLinks):
# netduet-server, but also netduet-server-udp.
_SERVICE_LINK = re.compile(
    r"(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)"
    r"|PORT_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)"
)
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")
_SINGLE_QUOTED = re.compile(r"=\s*'")
"""Such a value is literal, as for Compose and a shell: python-dotenv would expand it."""


class Settings(BaseSettings):
    """Base of the settings models. Only ``load`` reads the sources."""

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
        """Use only the given values: ``load`` reads the sources and records them."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def prefix(cls) -> str:
        """Return the prefix of this model's variables."""
        return str(cls.model_config["env_prefix"])

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the environment variable of a field."""
        return f"{cls.prefix()}{field.upper()}"

    @classmethod
    def secret_variables(cls) -> dict[str, str]:
        """Return the variables of the secret fields, by field."""
        fields = cls.model_fields.items()
        return {field: cls.variable(field) for field, info in fields if is_secret(info)}


class SettingsError(Exception):
    """Unusable settings; each of ``lines`` describes one problem."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value came from: ``flag``, ``environment``, ``.env``, ``file`` or ``secret``.

    ``name`` is the setting's name there. ``file``: the file of a secret, which a variable
    names; ``name`` is both.
    """

    kind: str
    name: str

    def says(self, value: str) -> str:
        """Return the value as it was given in this source."""
        if self.kind in {"file", "secret"}:
            return f"{self.name}: {value}"
        where = ".env: " if self.kind == ".env" else ""
        return f"{where}{self.name}{' ' if self.kind == 'flag' else '='}{value}"


@dataclass(frozen=True, slots=True)
class SourcePaths:
    """Where settings are read from; tests pass their own."""

    dotenv: Path = DOTENV
    secrets: Path = SECRETS


def flag(model: type[Settings], field: str) -> str:
    """Return the flag of a field: its name, unless the declaration sets another."""
    extra = model.model_fields[field].json_schema_extra
    given = extra.get("flag") if isinstance(extra, dict) else None
    return str(given) if given else "--" + field.replace("_", "-")


def read(
    model: type[Settings],
    flags: Mapping[str, object],
    source_paths: SourcePaths,
    links: list[str],
) -> Iterator[tuple[str, Source, object]]:
    """Yield each field that is set, with its source, in order of precedence.

    Empty values are unset, except on the command line. ``links`` are variables of the
    environment that are not settings.

    Raises:
        SettingsError: a source cannot be read.
    """
    for kind, found in _sources(model, flags, source_paths, links):
        for field, value in found.items():
            if value is None or (value == "" and kind != "flag"):
                continue
            if kind == "file":
                name = model.variable(field) + SUFFIX
                try:
                    text = read_secret(name, value)
                except ValueError as error:
                    raise SettingsError([str(error)]) from None
                yield field, Source(kind, f"{name}={value}"), text
            elif field in model.model_fields:
                name = _name(model, kind, field, source_paths)
                yield field, Source(kind, name), value


def _sources(
    model: type[Settings],
    flags: Mapping[str, object],
    source_paths: SourcePaths,
    links: list[str],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "flag", flags
    environment = EnvSettingsSource(model)()
    for name in links:
        environment.pop(name.removeprefix(model.prefix()).lower(), None)
    lines = dotenv(source_paths.dotenv)
    secret_variables = model.secret_variables()
    both = list(contradictions(secret_variables, {**lines, **os.environ}))
    if both:
        raise SettingsError(both)
    yield "environment", environment
    yield "file", dict(named_files(secret_variables, os.environ))
    by_field = {field: model.variable(field) for field in model.model_fields}
    yield (
        ".env",
        {field: lines[name] for field, name in by_field.items() if name in lines},
    )
    yield "file", dict(named_files(secret_variables, lines))
    with _readable(source_paths.secrets) as there:
        secrets = SecretsSettingsSource(model, secrets_dir=source_paths.secrets)
        found = secrets() if there else {}
    yield "secret", found


def _name(
    model: type[Settings], kind: str, field: str, source_paths: SourcePaths
) -> str:
    if kind == "flag":
        return flag(model, field)
    if kind == "secret":
        return str(source_paths.secrets / model.variable(field).lower())
    return model.variable(field)


@contextmanager
def _readable(path: Path) -> Iterator[bool]:
    """Turn a read error into a problem line; yield whether the file exists.

    A file in a directory that may not be searched counts as absent.
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
        case found:  # a warning: a file secret that is not a file
            return str(found)


def service_links(model: type[Settings], names: Mapping[str, str]) -> list[str]:
    """Return the variables with our prefix that Kubernetes set."""
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
    model: type[Settings], source_paths: SourcePaths, links: list[str]
) -> Iterator[str]:
    """Yield a line for each variable with this model's prefix that is not a setting.

    pydantic-settings ignores them silently, so a misspelt limit would be no limit.
    """
    prefix = model.prefix()
    known = {model.variable(field) for field in model.model_fields}
    files = {name.lower() for name in known}
    known |= {name + SUFFIX for name in model.secret_variables().values()}
    for where, names, right in (
        ("", set(os.environ) - set(links), known),
        (f"{source_paths.dotenv}: ", dotenv(source_paths.dotenv), known),
        (f"{source_paths.secrets}/", _files(source_paths.secrets), files),
    ):
        for name in sorted(names):
            if name.upper().startswith(prefix) and name not in right:
                yield f"{where}{name}: no setting has this name{nearest(name, right)}"


def dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a ``.env`` file; none when there is no file.

    Raises:
        SettingsError: it cannot be read, or one of our lines sets nothing.
    """
    with _readable(path) as there:
        if not there or not path.is_file():
            return {}
        from dotenv.parser import parse_stream  # noqa: PLC0415 - comes along

        bindings = list(parse_stream(StringIO(path.read_text("utf-8"))))
        bad = [
            f"{path}: line {binding.original.line}: must be NAME=value"
            for binding in bindings
            if binding.error and PREFIX in binding.original.string.upper()
        ]
        if bad:
            raise SettingsError(bad)
    values: dict[str, str] = {}
    for binding in bindings:
        if binding.key is not None:
            is_literal = _SINGLE_QUOTED.search(binding.original.string) is not None
            text = binding.value or ""
            values[binding.key] = text if is_literal else _expanded(text, values)
    return values


def _expanded(text: str, values: Mapping[str, str]) -> str:
    """Replace each ``${NAME}`` by a variable of the file, or of the environment."""
    from dotenv.variables import parse_variables  # noqa: PLC0415 - comes along

    known = os.environ | values
    return "".join(atom.resolve(known) for atom in parse_variables(text))


def _files(folder: Path) -> set[str]:
    with _readable(folder) as there:
        return {path.name for path in folder.iterdir()} if there else set()


def nearest(name: str, known: set[str]) -> str:
    """Return a remedy that names the nearest known name, or where to find all names.

    A prefix common to all names does not count.
    """
    names = {right.upper(): right for right in sorted(known)}
    columns = zip(name.upper(), *names, strict=False)
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    words = {upper[shared:]: right for upper, right in names.items()}
    close = difflib.get_close_matches(name.upper()[shared:], words, 1, _MIN_SIMILARITY)
    return (
        f": did you mean {words[close[0]]}?" if close else "; see docs/configuration.md"
    )
