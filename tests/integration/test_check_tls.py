"""The check ``tls`` against real TLS servers, right and wrong ones."""

from __future__ import annotations

import contextlib
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.checks.runner import CheckRunner
from netduet.client.net.timeouts import Timeouts
from netduet.client.results.target import Target
from netduet.client.results.verdict import CheckResult, Outcome, Verdict
from netduet.runtime.stall_monitor import StallMonitor
from tests.integration.certificates import (
    Authority,
    CertificateFiles,
    authority,
    write,
)
from tests.integration.servers import TIMEOUT_SECONDS
from tests.integration.services import (
    Behaviour,
    answer_with,
    close_at_once,
    serve_http,
    service,
    wait_for_client,
)
from tests.unit.client.protocols.tls_server import DAY, NOW, issue

TIMEOUTS = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, TIMEOUT_SECONDS)
BRIEF = Timeouts(TIMEOUT_SECONDS, TIMEOUT_SECONDS, 0.5)
"""How long is waited for what never comes."""

Prepare = Callable[[ssl.SSLContext], None]


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    """Make the authority that the client trusts."""
    return authority(tmp_path)


def serve_tls(
    files: CertificateFiles,
    inside: Behaviour = wait_for_client,
    prepare: Prepare = lambda _: None,
) -> Behaviour:
    """Speak TLS with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    prepare(context)

    def behave(sock: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            context.wrap_socket(sock, server_side=True) as wrapped,
        ):
            inside(wrapped)

    return behave


async def verdict(
    port: int,
    ca_file: str,
    *,
    protocol: str = "tls",
    checks: tuple[str, ...] = ("tls",),
    host: str = "127.0.0.1",
    name: str = "",
    timeouts: Timeouts = TIMEOUTS,
    **options: object,
) -> Verdict:
    """Run the check, with those that it needs."""
    target = Target(host, port, protocol=protocol)
    chosen = CheckOptions(tls_ca=ca_file, **options)  # type: ignore[arg-type]
    context = CheckContext(
        target, socket.AF_INET, "", timeouts, options=chosen, server_name=name
    )
    async with StallMonitor() as stalls:
        check_runner = CheckRunner(context, stalls, lambda _: None, checks)
        await check_runner.run()
    return check_runner.verdict()


async def check(port: int, ca_file: str, **options: object) -> CheckResult:
    """Run the check; return its result."""
    found = await verdict(port, ca_file, **options)  # type: ignore[arg-type]
    [result] = [each for each in found.results if each.check == "tls"]
    return result


def classes(result: CheckResult) -> list[str]:
    """Return the failure classes of a result."""
    return [finding.failure for finding in result.findings]


async def test_valid_certificate_passes(ca: Authority) -> None:
    """Name, chain and dates are right; version, cipher and days left are reported."""
    with service(serve_tls(ca.issue("web"))) as server:
        result = await check(server.port, ca.file, tls_min_days=30)
    assert (result.outcome, result.remarks) == (Outcome.PASS, ())
    assert result.figures["version"] == "TLSv1.3"
    assert result.figures["days_left"] == 89
    assert result.figures["trusted"] is True
    assert "89 days left" in result.summary


@pytest.mark.parametrize(
    ("not_before", "not_after", "failure"),
    [
        (NOW - 9 * DAY, NOW - DAY, "tls.expired"),
        (NOW + DAY, NOW + 9 * DAY, "tls.not_yet_valid"),
        (NOW - DAY, NOW + 20 * DAY, "tls.expires_soon"),
    ],
)
async def test_dates_are_judged(
    ca: Authority, not_before: object, not_after: object, failure: str
) -> None:
    """Too late, too early, and less time left than required."""
    files = ca.issue("web", not_before=not_before, not_after=not_after)  # type: ignore[arg-type]
    with service(serve_tls(files)) as server:
        result = await check(server.port, ca.file, tls_min_days=30)
    assert classes(result) == [failure]


async def test_wrong_name_is_found_and_another_name_can_be_given(
    ca: Authority,
) -> None:
    """The certificate must be for the target, or for the name that the user gives."""
    with service(serve_tls(ca.issue("web", "other.example"))) as server:
        wrong = await check(server.port, ca.file)
        right = await check(server.port, ca.file, name="other.example")
    assert classes(wrong) == ["tls.wrong_name"]
    assert "valid for other.example, not for 127.0.0.1" in wrong.findings[0].seen
    assert right.outcome is Outcome.PASS


async def test_unknown_authority_fails_and_is_a_note_if_trust_is_not_demanded(
    ca: Authority, tmp_path: Path
) -> None:
    """Neither authority is that of the other."""
    stranger = authority(tmp_path, "Strange CA")
    with service(serve_tls(stranger.issue("web"))) as server:
        result = await check(server.port, ca.file)
        insecure = await check(server.port, ca.file, tls_insecure=True)
    assert classes(result) == ["tls.unknown_ca"]
    assert result.findings[0].seen.endswith(
        f"Strange CA,O=Strange CA, which is not in {ca.file}"
    )
    assert insecure.outcome is Outcome.PASS
    assert "Strange CA" in insecure.remarks[0]
    assert insecure.figures["trusted"] is False


async def test_self_signed_certificate_is_found(ca: Authority, tmp_path: Path) -> None:
    """It is trusted if the user names it as its own authority."""
    own = write(tmp_path / "own", issue("own", "127.0.0.1"))
    with service(serve_tls(own)) as server:
        result = await check(server.port, ca.file)
        trusted = await check(server.port, own.certificate)
    assert classes(result) == ["tls.self_signed"]
    assert trusted.outcome is Outcome.PASS


async def test_missing_intermediate_is_found(ca: Authority) -> None:
    """An intermediate authority's certificate is not sent, then it is."""
    between = issue(
        "Intermediate", issuer=ca.issued, is_authority=True, organization="Test CA"
    )
    bare = ca.issue("bare", issuer=between)
    full = ca.issue("full", issuer=between, links=(between,))
    with service(serve_tls(bare)) as server:
        lacking = await check(server.port, ca.file)
    with service(serve_tls(full)) as server:
        complete = await check(server.port, ca.file)
    assert classes(lacking) == ["tls.chain_incomplete"]
    assert complete.outcome is Outcome.PASS


async def test_interceptor_is_named(ca: Authority, tmp_path: Path) -> None:
    """Another certificate arrives than expected, even if this host trusts it."""
    genuine = ca.issue("genuine")
    false = authority(tmp_path, "mitmproxy").issue("false")
    prints = tuple(
        each.issued.certificate.fingerprint(SHA256()).hex() for each in (genuine, false)
    )
    with service(serve_tls(false)) as server:
        known = await check(server.port, ca.file)
        pinned = await check(server.port, ca.file, tls_fingerprint=prints[:1])
        issued = await check(server.port, ca.file, tls_issuer="Test CA")
    for result in (known, pinned, issued):
        assert classes(result) == ["tls.intercepted"]
        assert "mitmproxy" in result.findings[0].seen
    with service(serve_tls(genuine)) as server:
        result = await check(server.port, ca.file, tls_fingerprint=prints)
    assert result.outcome is Outcome.PASS


async def test_demand_for_a_client_certificate_is_found_out(ca: Authority) -> None:
    """Demanded, requested without need, and not requested at all."""
    found = {}
    for mode in (ssl.CERT_REQUIRED, ssl.CERT_OPTIONAL, ssl.CERT_NONE):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):

            def prepare(
                context: ssl.SSLContext,
                mode: ssl.VerifyMode = mode,
                version: ssl.TLSVersion = version,
            ) -> None:
                context.verify_mode = mode
                context.load_verify_locations(ca.file)
                context.maximum_version = version

            with service(serve_tls(ca.issue("web"), prepare=prepare)) as server:
                result = await check(
                    server.port, ca.file, expect_client_certificate=True
                )
            found[mode, version] = (
                classes(result),
                result.figures["client_certificate"],
            )
    failure = "tls.client_certificate_not_demanded"
    for (mode, _), judged in found.items():
        assert (
            judged
            == {
                ssl.CERT_REQUIRED: ([], "demanded"),
                ssl.CERT_OPTIONAL: ([failure], "requested"),
                ssl.CERT_NONE: ([failure], "not requested"),
            }[ssl.VerifyMode(mode)]
        )


async def test_client_certificate_is_presented_and_may_be_refused(
    ca: Authority, tmp_path: Path
) -> None:
    """One of the right authority is accepted, another is refused, in both versions."""
    good = ca.issue("client")
    bad = authority(tmp_path, "Strange CA").issue("bad client")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):

        def prepare(context: ssl.SSLContext, version: ssl.TLSVersion = version) -> None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(ca.file)
            context.maximum_version = version

        with service(serve_tls(ca.issue("web"), prepare=prepare)) as server:
            accepted = await check(
                server.port, ca.file, tls_cert=good.certificate, tls_key=good.key
            )
            refused = await check(
                server.port, ca.file, tls_cert=bad.certificate, tls_key=bad.key
            )
        assert (accepted.outcome, accepted.remarks) == (Outcome.PASS, ())
        assert classes(refused) == ["tls.client_certificate_refused"]
        assert "unknown ca" in refused.findings[0].seen


async def test_demand_inside_of_http_is_found_out(ca: Authority) -> None:
    """A server may complete the handshake and then respond that it needs one."""

    def prepare(context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(ca.file)

    page = b"HTTP/1.1 400 Bad Request\r\n\r\nNo required SSL certificate was sent"
    behaviour = serve_tls(ca.issue("web"), answer_with(page), prepare)
    with service(behaviour) as server:
        result = await check(server.port, ca.file, protocol="https")
    assert result.figures["client_certificate"] == "demanded"


async def test_service_without_tls_is_found(ca: Authority) -> None:
    """Plain text, an end and silence are three different failures."""
    with service(answer_with(b"220 mail ready\r\n")) as server:
        plain = await check(server.port, ca.file)
    with service(close_at_once) as server:
        closed = await check(server.port, ca.file)
    with service(wait_for_client) as server:
        silent = await check(server.port, ca.file, timeouts=BRIEF)
    assert classes(plain) == ["tls.no_tls"]
    assert classes(closed) == ["tls.handshake_failed"]
    assert classes(silent) == ["tls.handshake_silent"]
    assert silent.findings[0].missed_deadline is not None


async def test_alert_is_named(ca: Authority) -> None:
    """A server that knows no such name says so."""

    def prepare(context: ssl.SSLContext) -> None:
        context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    with service(serve_tls(ca.issue("web"), prepare=prepare)) as server:
        result = await check(server.port, ca.file, name="server.example")
    assert classes(result) == ["tls.handshake_failed"]
    assert 'alert "unrecognized name"' in result.findings[0].seen


async def test_certificate_that_depends_on_sni_is_noted(ca: Authority) -> None:
    """Without a name, the default certificate comes."""
    named = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = ca.issue("named")
    named.load_cert_chain(files.certificate, files.key)

    def prepare(context: ssl.SSLContext) -> None:
        def select(sock: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name:
                sock.context = named

        context.sni_callback = select  # type: ignore[assignment]

    with service(serve_tls(ca.issue("default"), prepare=prepare)) as server:
        result = await check(server.port, ca.file, name="server.example")
    assert result.outcome is Outcome.PASS
    assert [note.partition(": ")[2] for note in result.remarks] == [
        "selects the certificate by SNI; without SNI it presents that of CN=default"
    ]


async def test_old_version_alone_fails_and_beside_new_ones_is_noted(
    ca: Authority,
) -> None:
    """Clients of today refuse TLS 1.1."""

    def only_old(context: ssl.SSLContext) -> None:
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")

    def also_old(context: ssl.SSLContext) -> None:
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        context.set_ciphers("ALL:@SECLEVEL=0")

    with service(serve_tls(ca.issue("web"), prepare=only_old)) as server:
        old = await check(server.port, ca.file)
    with service(serve_tls(ca.issue("web"), prepare=also_old)) as server:
        both = await check(server.port, ca.file)
    assert classes(old) == ["tls.old_protocol"]
    assert both.outcome is Outcome.PASS
    assert "also accepts TLSv1.1" in both.remarks[0]


@pytest.fixture
def no_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Make this host's certificate authorities a private one that nobody uses."""
    file = authority(tmp_path, "Host CA").file
    monkeypatch.setenv("SSL_CERT_FILE", file)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return


@pytest.mark.usefixtures("no_authorities")
async def test_recognised_service_is_judged_and_trust_is_a_note(
    ca: Authority,
) -> None:
    """Nobody said that it must be TLS; one that demands TLS demands trust."""
    names = ("identity", "tls")
    with service(serve_tls(ca.issue("web"))) as server:
        found = await verdict(server.port, "", protocol="", checks=names)
        stated = await verdict(server.port, "", protocol="tls", checks=names)
    assert found.outcome is Outcome.PASS
    assert found.results[-1].check == "tls"
    assert stated.outcome is Outcome.FAIL
    assert stated.root is not None
    assert stated.root.failure == "tls.unknown_ca"


async def test_requested_check_is_skipped_where_nothing_speaks_tls(
    ca: Authority,
) -> None:
    """It is no PASS then; unless it is requested, it is left out (see test_runner)."""
    names = ("identity", "tls")
    with service(serve_http()) as server:
        named = await verdict(server.port, ca.file, protocol="http", checks=names)
    assert named.results[-1].summary == "the target speaks no TLS"
    assert named.unmet == ("tls",)
