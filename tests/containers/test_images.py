"""What the images are made of."""

from __future__ import annotations

from typing import Any

import docker
import pytest

from tests.containers.sandbox import Images

_SETUID = (
    "import os, stat\n"
    "for top, folders, names in os.walk('/'):\n"
    "    if top == '/':\n"
    "        folders[:] = set(folders) - {'proc', 'sys', 'dev'}\n"
    "    for path in (os.path.join(top, name) for name in names):\n"
    "        mode = os.lstat(path).st_mode\n"
    "        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):\n"
    "            print(path)\n"
)
_UNNEEDED = (
    "import importlib.util\n"
    "for name in ('pygments', 'markdown_it', 'rich_rst', 'pip', 'netduet.client'):\n"
    "    if importlib.util.find_spec(name): print(name)\n"
)


@pytest.fixture(params=["server", "client"])
def image(request: pytest.FixtureRequest, images: Images) -> str:
    """Return the name of each image."""
    return str(getattr(images, request.param))


def run(engine: docker.DockerClient, image: str, program: str, user: str = "") -> str:
    """Run a Python program in an image; return what it prints."""
    options: dict[str, Any] = {"remove": True, "network_mode": "none"}
    if user:
        options["user"] = user
    output = engine.containers.run(
        image, ["-c", program], entrypoint="python", **options
    )
    return str(output.decode())


def test_image_says_where_it_comes_from(
    engine: docker.DockerClient, image: str
) -> None:
    """The labels have version, licence, revision and time."""
    labels = engine.images.get(image).labels
    names = ("title", "version", "licenses", "revision", "created")
    assert all(labels.get(f"org.opencontainers.image.{name}") for name in names)


def test_image_has_no_setuid_program(engine: docker.DockerClient, image: str) -> None:
    """Nothing in it could gain privileges."""
    assert run(engine, image, _SETUID, user="0") == ""


def test_server_image_has_nothing_that_the_server_does_not_need(
    engine: docker.DockerClient, images: Images
) -> None:
    """Less to download, and less to attack."""
    assert run(engine, images.server, _UNNEEDED) == ""
