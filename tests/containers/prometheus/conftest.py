"""An image with a real Prometheus and our rules, and a running Prometheus."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from testcontainers.core.network import Network

from tests.containers.prometheus.api import Prometheus
from tests.containers.sandbox import Images, Sandbox

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy/prometheus"
SERVERS, CLIENTS = "tasks.server", "tasks.client"
"""The names that the stack gives, at which the shipped configuration scrapes."""

ADMIN = {
    "NETDUET_SERVER_ADMIN_HOST": "*",
    "NETDUET_SERVER_ADMIN_PORT": "12346",
    "NETDUET_CLIENT_ADMIN_HOST": "*",
    "NETDUET_CLIENT_ADMIN_PORT": "12347",
}
"""The admin ports, as the stack sets them."""

StartPrometheus = Callable[[Network], Prometheus]


@pytest.fixture(scope="session")
def prometheus_image(engine: docker.DockerClient, images: Images) -> str:
    """Build the image; Debian's package is fetched once, and then stays in the cache."""
    assert images  # and with them the image that all stand on
    base = subprocess.run(
        [ROOT / "deploy/base-image/resolve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(Path(__file__).with_name("Dockerfile"), "Dockerfile")
        for path in sorted(RULES.glob("*.yaml")):
            tar.add(path, path.name)
    built, _ = engine.images.build(
        fileobj=io.BytesIO(packed.getvalue()),
        custom_context=True,
        tag="netduet-prometheus",
        buildargs={"BUILDER_IMAGE": base.stdout.split()[1]},
        rm=True,
        forcerm=True,
    )
    return str(built.id)


def rules() -> dict[str, Any]:
    """Return the shipped rules."""
    loaded: dict[str, Any] = yaml.safe_load((RULES / "netduet.rules.yaml").read_text())
    return loaded


def alert_names() -> set[str]:
    """Return the names of the shipped alerts."""
    return {rule["alert"] for group in rules()["groups"] for rule in group["rules"]}


@pytest.fixture
def start_prometheus(prometheus_image: str, sandbox: Sandbox) -> StartPrometheus:
    """Return what starts a Prometheus with the shipped files, in a hurry.

    It scrapes, evaluates and looks names up each second, and alerts after a second.
    """

    def start(network: Network) -> Prometheus:
        hasty = rules()
        for group in hasty["groups"]:
            for rule in group["rules"]:
                rule["for"] = "1s"
        config = yaml.safe_load((RULES / "prometheus.yaml").read_text())
        for interval in ("scrape_interval", "evaluation_interval", "scrape_timeout"):
            config["global"][interval] = "1s"
        config["rule_files"] = ["/tmp/rules.yaml"]
        for job in config["scrape_configs"]:
            for names in job["dns_sd_configs"]:
                names["refresh_interval"] = "1s"
        run = (
            'echo "$RULES" >/tmp/rules.yaml && echo "$CONFIG" >/tmp/prometheus.yaml '
            "&& exec prometheus --config.file=/tmp/prometheus.yaml "
            "--storage.tsdb.path=/tmp/data --web.listen-address=:9090"
        )
        container = sandbox.start(
            prometheus_image,
            network,
            command=["sh", "-c", run],
            env={"RULES": yaml.safe_dump(hasty), "CONFIG": yaml.safe_dump(config)},
            ports={9090: None},
        )
        host, port = container.get_container_host_ip(), container.get_exposed_port(9090)
        return Prometheus(f"http://{host}:{port}", container)

    return start
