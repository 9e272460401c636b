"""What common TCP proxies do as they come: notes, and failures where it is needed.

docs/generate.py says the same in its table of middleboxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.containers.sandbox import PORT, Sandbox, engine_handle

HALF_CLOSE, RESET = "close.half_close", "close.reset_hidden"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of the image of services, and what a check notes behind it.

    ``script`` is run by ``sh`` where the server is called ``server``.
    """

    name: str
    script: str
    notes: frozenset[str]


def nginx(directive: str = "") -> str:
    """Return what runs nginx as a TCP proxy with a further directive."""
    return f"""cat >nginx.conf <<'END'
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
events {{}}
stream {{ server {{ listen {PORT}; proxy_pass server:{PORT}; {directive} }} }}
END
exec nginx -e stderr -c /srv/nginx.conf"""


HAPROXY = Proxy(
    "haproxy",
    f"""cat >haproxy.cfg <<'END'
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
listen proxy
  bind :{PORT}
  server server server:{PORT}
END
exec haproxy -db -f haproxy.cfg""",
    frozenset({"udp.rejected", RESET}),
)
NGINX = Proxy("nginx", nginx(), frozenset({"udp.rejected", RESET, HALF_CLOSE}))
NGINX_HALF_CLOSE = Proxy(
    "nginx-half-close",
    nginx("proxy_half_close on;"),
    frozenset({"udp.rejected", RESET}),
)
SOCAT = Proxy(
    "socat",
    f"exec socat TCP-LISTEN:{PORT},fork,reuseaddr,backlog=512 TCP:server:{PORT}",
    frozenset({"udp.rejected", RESET, HALF_CLOSE}),
)
PROXIES = (HAPROXY, NGINX, NGINX_HALF_CLOSE, SOCAT)


def classes(document: dict[str, Any], kind: str) -> set[str]:
    """Return the classes of all findings, or of all notes."""
    [target] = document["targets"]
    return {found["class"] for check in target["checks"] for found in check[kind]}


@pytest.mark.parametrize("proxy", PROXIES, ids=[proxy.name for proxy in PROXIES])
def test_proxy_as_it_comes_is_no_failure(
    services_image: str, sandbox: Sandbox, proxy: Proxy
) -> None:
    """What it does not carry is noted; it fails where half-closes are needed."""
    network = sandbox.network()
    sandbox.server(network)
    sandbox.start(
        services_image,
        network,
        alias="proxy",
        command=["sh", "-c", proxy.script],
        wait=["is-listening", str(PORT), "tcp"],
    )
    done = sandbox.client(network, "check", "--json", "proxy")
    assert (classes(done.document, "findings"), classes(done.document, "notes")) == (
        set(),
        proxy.notes,
    )
    assert (done.status, done.document["targets"][0]["proxied"]) == (0, True)
    needed = ("--need=half-close", "--checks=close")
    done = sandbox.client(network, "check", "--json", *needed, "proxy")
    assert classes(done.document, "findings") == proxy.notes & {HALF_CLOSE}
    assert done.status == (HALF_CLOSE in proxy.notes)


def test_port_published_to_its_own_host_fails_for_udp_alone(sandbox: Sandbox) -> None:
    """docker-proxy stands between the host's loopback and the container.

    It excuses the reset, but not that the port is published for TCP alone.
    """
    server = sandbox.server(None, ports={f"{PORT}/tcp": None})
    handle = engine_handle(server)
    handle.reload()
    [binding, *_] = handle.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"]
    target = f"127.0.0.1:{binding['HostPort']}"
    done = sandbox.client(None, "check", "--json", target, network_mode="host")
    assert (classes(done.document, "findings"), classes(done.document, "notes")) == (
        {"udp.tcp_alone"},
        {RESET},
    )
    assert done.status == 1
    needed = ("--need=half-close", "--checks=close", target)
    done = sandbox.client(None, "check", "--json", *needed, network_mode="host")
    assert (done.status, classes(done.document, "findings")) == (0, set())
