"""A settings model with every kind of field, and sources without settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from netduet.config.load import (
    Duration,
    Settings,
    SettingsError,
    Size,
    SourcePaths,
    Words,
    contradiction,
    load,
)


class SampleSettings(Settings):
    """Settings of every kind."""

    model_config = SettingsConfigDict(env_prefix="NETDUET_SAMPLE_")

    port: Annotated[int, Field(ge=0, le=65_535)] = 12_345
    """Port."""

    most: int = 10
    """Not less than port, when the port is below a hundred."""

    wait: Annotated[Duration, Field(gt=0, le=90)] = 2.0
    """Time."""

    room: Annotated[Size, Field(ge=1024)] = 4096
    """Size."""

    words: Words = ()
    """Words."""

    mode: Literal["plain", "framed"] = "plain"
    """Mode."""

    active: bool = False
    """Switch."""

    name: Annotated[str, Field(min_length=1, max_length=8)] = "netduet"
    """Name."""

    token: Annotated[SecretStr, Field(min_length=4)] | None = None
    """Secret."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.most < self.port < 100:
            raise contradiction("port", "must not exceed", "most")
        return self


def empty_sources(monkeypatch: pytest.MonkeyPatch, folder: Path) -> SourcePaths:
    """Remove all settings; return sources that a test may fill."""
    for name in list(os.environ):
        if name.upper().startswith("NETDUET_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    (folder / "secrets").mkdir()
    return SourcePaths(folder / ".env", folder / "secrets")


def error_lines(sources: SourcePaths, **flags: object) -> list[str]:
    """Return the error lines for invalid settings."""
    with pytest.raises(SettingsError) as caught:
        load(SampleSettings, flags, sources)
    return caught.value.lines
