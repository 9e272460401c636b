"""The client inside of TLS: all checks, and each reason why there is no TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.runner import CheckRunner
from netduet.client.commands.tls import unusable_files
from netduet.client.net.client_tls import ClientTls, make_context, use_tls
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import Outcome, Verdict
from netduet.client.settings import ClientSettings
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.certificates import Authority, CertificateFiles, authority
from tests.integration.conftest import ServeCommand, StartServer
from tests.integration.servers import TIMEOUT_SECONDS, NetduetCommand

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    """Make the authority that the client trusts."""
    return authority(tmp_path)


async def verdict(
    port: int,
    ca_file: str,
    *names: str,
    name: str = "localhost",
    own: CertificateFiles | None = None,
) -> Verdict:
    """Run checks of a netduet server inside of TLS."""
    files = ("", "") if own is None else (own.certificate, own.key)
    options = CheckOptions(
        tls=True, tls_ca=ca_file, tls_cert=files[0], tls_key=files[1]
    )
    context = CheckContext(
        Target("127.0.0.1", port),
        socket.AF_INET,
        "*",
        TIMEOUTS,
        options=options,
        server_name=name,
    )

    async def run() -> Verdict:
        use_tls(ClientTls(make_context(ca_file, *files), name))
        async with StallMonitor() as stalls:
            check_runner = CheckRunner(context, stalls, lambda _: None, names)
            await check_runner.run()
        return check_runner.verdict()

    return await asyncio.create_task(run())


def failures(found: Verdict) -> dict[str, str]:
    """Return the failure classes, with what was observed."""
    return {
        finding.failure: finding.seen
        for result in found.results
        for finding in result.findings
    }


async def test_checks_pass_inside(start_server: StartServer, ca: Authority) -> None:
    """Half-closes, sizes, small writes, the ledger's counts: as without TLS."""
    files = ca.issue("server")
    running = await start_server(
        tls_cert=files.certificate, tls_key=files.key, tls_client_ca=ca.file
    )
    names = ("identity", "tls", "path", "size", "close")
    found = await verdict(running.port, ca.file, *names, own=ca.issue("client"))
    assert failures(found) == {}
    outcomes = {result.check: result.outcome for result in found.results}
    assert {outcomes[name] for name in names} == {Outcome.PASS}
    [tls] = [result for result in found.results if result.check == "tls"]
    assert tls.figures["client_certificate"] == "demanded"
    assert tls.remarks == ()


async def test_reason_of_a_failed_handshake_is_named(
    start_server: StartServer, ca: Authority, tmp_path: Path
) -> None:
    """Unknown authority, another name, no certificate, no TLS at all."""
    files = ca.issue("server")
    running = await start_server(tls_cert=files.certificate, tls_key=files.key)
    stranger = authority(tmp_path, "Strange CA")
    unknown = failures(await verdict(running.port, stranger.file, "identity", "tls"))
    assert "certificate verify failed" in unknown["identity.tls_failed"]
    assert "tls.unknown_ca" in unknown
    other = failures(
        await verdict(running.port, ca.file, "identity", "tls", name="other.example")
    )
    assert "Hostname mismatch" in other["identity.tls_failed"]
    assert "tls.wrong_name" in other

    mutual = await start_server(
        tls_cert=files.certificate, tls_key=files.key, tls_client_ca=ca.file
    )
    anonymous = failures(await verdict(mutual.port, ca.file, "identity"))
    assert "certificate required" in anonymous["identity.tls_failed"]

    plain = await start_server()
    without = failures(await verdict(plain.port, ca.file, "identity", "tls"))
    assert "responds without TLS" in without["identity.tls_failed"]
    assert "tls.no_tls" in without


@contextlib.asynccontextmanager
async def relay(
    port: int, served: ssl.SSLContext, onward: ssl.SSLContext | None
) -> AsyncIterator[int]:
    """Terminate TLS, and connect onward; return the port."""

    async def pass_on(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(
            "127.0.0.1",
            port,
            ssl=onward,
            server_hostname="localhost" if onward else None,
        )
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=served)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


async def test_interceptor_is_found_by_the_servers_own_statement(
    start_server: StartServer, ca: Authority
) -> None:
    """Even if this host trusts its certificate: the server presents another one."""
    genuine, false = ca.issue("genuine"), ca.issue("false")
    running = await start_server(tls_cert=genuine.certificate, tls_key=genuine.key)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(false.certificate, false.key)
    onward = ssl.create_default_context(cafile=ca.file)
    async with relay(running.port, served, onward) as port:
        found = await verdict(port, ca.file, "identity", "tls")
    assert "tls.intercepted" in failures(found)
    direct = await verdict(running.port, ca.file, "identity", "tls")
    assert failures(direct) == {}


async def test_end_of_tls_before_the_server_is_noted(
    start_server: StartServer, ca: Authority
) -> None:
    """A proxy that terminates TLS may be meant: it is no failure."""
    running = await start_server()
    files = ca.issue("proxy")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(files.certificate, files.key)
    async with relay(running.port, served, None) as port:
        found = await verdict(port, ca.file, "identity", "tls")
    assert failures(found) == {}
    [tls] = [result for result in found.results if result.check == "tls"]
    assert "terminates TLS" in tls.remarks[0]


async def test_server_with_tls_is_recognised_without_it(
    start_server: StartServer, ca: Authority
) -> None:
    """The finding says that --tls is missing."""
    files = ca.issue("server")
    running = await start_server(tls_cert=files.certificate, tls_key=files.key)
    context = CheckContext(
        Target("127.0.0.1", running.port), socket.AF_INET, "*", TIMEOUTS
    )
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, ("identity",))
        await check_runner.run()
    root = check_runner.verdict().root
    assert root is not None
    assert root.failure == "identity.tls_required"


def test_command_speaks_tls(
    serve_command: ServeCommand, ca: Authority, tmp_path: Path
) -> None:
    """Its threads, too; a file that cannot be used is one line and status 2."""
    files = ca.issue("server")
    running = serve_command(tls_cert=files.certificate, tls_key=files.key)
    target = f"localhost:{running.port}"
    with NetduetCommand(tmp_path) as command:
        good = command.start(
            "check", target, "-4", "--tls", "--tls-ca", ca.file, "--checks", "load"
        )
        wrong = command.run("check", target, "--tls", "--tls-ca", "/none.pem")
        done = command.finish(good)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "tls-ca /none.pem: cannot be read" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_unusable_files_are_named(ca: Authority, tmp_path: Path) -> None:
    """One line each, with the setting and the file."""
    files, other = ca.issue("client"), ca.issue("other")
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        files.issued.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        )
    )
    own = {"tls_cert": files.certificate}
    for chosen, message in (
        ({"tls_ca": "/none.pem"}, "tls-ca /none.pem: cannot be read"),
        ({"tls_ca": files.key}, "cannot be used as certificates in PEM"),
        ({"tls_key": files.key}, "tls-key is set without tls-cert"),
        (own, f"tls-cert {files.certificate}: cannot be used"),
        (own | {"tls_key": other.key}, f"tls-key {other.key}: cannot be used"),
        (own | {"tls_key": str(locked)}, "the key is encrypted"),
    ):
        [line] = unusable_files(ClientSettings.model_validate(chosen))
        assert message in line
    usable = own | {"tls_key": files.key, "tls_ca": ca.file}
    assert unusable_files(ClientSettings.model_validate(usable)) == []
