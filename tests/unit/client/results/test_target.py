"""Targets as people type them, and errors for invalid ones."""

from __future__ import annotations

import pytest

from netduet.client.results.target import (
    Expect,
    Scheme,
    Target,
    parse_target,
    public_form,
)

SCHEMES = {
    "http": Scheme("http", 80),
    "https": Scheme("tls", 443),
    "postgres": Scheme("postgres", 5432),
    "postgresql": Scheme("postgres", 5432),
    "redis": Scheme("redis", 6379),
    "mongodb": Scheme("mongodb", 27017),
}


def schemes() -> dict[str, Scheme]:
    """Return the protocols of these tests."""
    return SCHEMES


LONGEST_LABEL = "a" * 63
LONGEST_NAME = ".".join(["a" * 63] * 3 + ["a" * 61])


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("server", "server", 12345),
        ("server:80", "server", 80),
        (" server:80 ", "server", 80),
        ("server.", "server.", 12345),
        ("a-b.c_d.example", "a-b.c_d.example", 12345),
        ("bücher.example:1", "bücher.example", 1),
        ("server:65535", "server", 65535),
        ("server:00080", "server", 80),
        ("192.0.2.1", "192.0.2.1", 12345),
        ("192.0.2.1:80", "192.0.2.1", 80),
        ("::1", "::1", 12345),
        ("2001:db8::1", "2001:db8::1", 12345),
        ("[::1]", "::1", 12345),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("fe80::1%eth0", "fe80::1%eth0", 12345),
        (LONGEST_LABEL, LONGEST_LABEL, 12345),
        (LONGEST_NAME, LONGEST_NAME, 12345),
    ],
)
def test_target_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    """Every form gives a host, without brackets, and a port or the default."""
    assert parse_target(text, 12345) == Target(host, port)


@pytest.mark.parametrize(
    ("text", "default", "target"),
    [
        ("db:5432=blocked", Expect.OPEN, Target("db", 5432, Expect.BLOCKED)),
        ("db=blocked", Expect.OPEN, Target("db", 12345, Expect.BLOCKED)),
        ("db:5432", Expect.BLOCKED, Target("db", 5432, Expect.BLOCKED)),
        ("db=open", Expect.BLOCKED, Target("db", 12345, Expect.OPEN)),
        ("::1=blocked", Expect.OPEN, Target("::1", 12345, Expect.BLOCKED)),
        ("[::1]:53=blocked", Expect.OPEN, Target("::1", 53, Expect.BLOCKED)),
        ("[::1]=blocked", Expect.OPEN, Target("::1", 12345, Expect.BLOCKED)),
        ("[fe80::1%a=b]:53", Expect.OPEN, Target("fe80::1%a=b", 53)),
        (
            "[fe80::1%a=b]:53=blocked",
            Expect.OPEN,
            Target("fe80::1%a=b", 53, Expect.BLOCKED),
        ),
    ],
)
def test_target_may_end_with_its_expectation(
    text: str, default: Expect, target: Target
) -> None:
    """The part after the last = overrides the setting and is not in the address."""
    assert parse_target(text, 12345, default) == target
    assert "=" not in str(target).partition("]")[2]


@pytest.mark.parametrize(
    ("text", "word"), [("db:1=", ""), ("db:1=shut", "shut"), ("a=b=open", "b=open")]
)
def test_unknown_expectation_error_lists_the_valid_ones(text: str, word: str) -> None:
    """A misspelt expectation is never taken for the default."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its words are judged
        parse_target(text, 12345)
    why = f"the = must be followed by open or blocked, not {word!r}"
    assert str(caught.value) == f"target {text!r}: {why}"


OPEN, BLOCKED = Expect.OPEN, Expect.BLOCKED


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("db:5433/postgres", Target("db", 5433, OPEN, "postgres")),
        ("db/postgresql", Target("db", 5432, OPEN, "postgres")),
        ("DB:1/Postgres", Target("DB", 1, OPEN, "postgres")),
        ("[::1]:1/redis=blocked", Target("::1", 1, BLOCKED, "redis")),
        ("[::1]/redis", Target("::1", 6379, OPEN, "redis")),
        ("::1/redis", Target("::1", 6379, OPEN, "redis")),
        ("[fe80::1%a=b]:1/redis=open", Target("fe80::1%a=b", 1, OPEN, "redis")),
        ("http://web:8000/health", Target("web", 8000, OPEN, "http")),
        ("https://web", Target("web", 443, OPEN, "tls")),
        ("HTTPS://web/", Target("web", 443, OPEN, "tls")),
        ("http://[2001:db8::1]", Target("2001:db8::1", 80, OPEN, "http")),
        ("http://[2001:db8::1]:1/a", Target("2001:db8::1", 1, OPEN, "http")),
        ("redis://cache=blocked", Target("cache", 6379, BLOCKED, "redis")),
        ("http://web/a/b=blocked", Target("web", 80, BLOCKED, "http")),
        ("http://web?a=1=blocked", Target("web", 80, BLOCKED, "http")),
        ("http://web/?a=1&b=2=blocked", Target("web", 80, BLOCKED, "http")),
        ("http://web/?a=blocked", Target("web", 80, OPEN, "http")),
        ("http://web/?a=1#b=blocked", Target("web", 80, OPEN, "http")),
        ("postgresql+psycopg://db", Target("db", 5432, OPEN, "postgres")),
        ("jdbc:postgresql://db/app", Target("db", 5432, OPEN, "postgres")),
        ("redis://u:p=open@cache", Target("cache", 6379, OPEN, "redis")),
        ("redis://u@x:p@cache:1", Target("cache", 1, OPEN, "redis")),
        ("http://web/@name", Target("web", 80, OPEN, "http")),
    ],
)
def test_target_may_name_its_protocol(text: str, target: Target) -> None:
    """The protocol gives the port if none is given; the rest of a URL is dropped."""
    assert parse_target(text, 12345, Expect.OPEN, schemes) == target


def test_text_of_a_target_leaves_its_protocol_out() -> None:
    """Reports use host and port as a key, with and without a protocol."""
    assert str(Target("db", 5432, protocol="postgres")) == "db:5432"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("db:5432=blocked", "db:5432=blocked"),
        ("redis://u:SECRET@cache:1/SECRET?SECRET#SECRET", "redis://cache:1"),
        ("redis://:SECRET@cache=blocked", "redis://cache=blocked"),
        ("http://web/SECRET?a=SECRET=blocked", "http://web=blocked"),
    ],
)
def test_public_form_is_the_target_without_secrets(text: str, shown: str) -> None:
    """It names the same target."""
    assert public_form(text) == shown
    public = parse_target(shown, 1, schemes=schemes)
    assert public == parse_target(text, 1, schemes=schemes)


@pytest.mark.parametrize(
    "text",
    [
        "user:SECRET@db",
        "user:SECRET=x@db",
        "ldap://u:SECRET@db/SECRET",
        "redis://u:SECRET@db:x/SECRET",
        "redis://u:SECRET@/SECRET",
        "redis://u:SECRET",
        "redis://u:SECRET/SECRET@db",
        "redis://u:12/SECRET@db",
        "redis://u:SECRET?SECRET@db",
        "redis://db/a?token=SECRET==",
        "redis://db/a=SECRET",
        "u:SECRET://db",
        "a?b=SECRET://u:SECRET@db",
    ],
)
def test_error_shows_no_secret(text: str) -> None:
    """What may be user info, a path or a query is not in a message."""
    with pytest.raises(ValueError, match=r"^target ") as caught:
        parse_target(text, 1, schemes=schemes)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("db:1/oracle", "unknown protocol 'oracle'; the known ones are http, mongodb,"),
        ("ldap://db", "unknown protocol 'ldap'; the known ones are http, mongodb, po"),
        ("db:1/", "unknown protocol ''"),
        ("10.0.0.0/8", "unknown protocol '8'"),
        ("mongodb+srv://db", "+srv names no host: give a host and port of the SRV"),
        ("http://web=shut", "the = must be followed by open or blocked, not 'shut'"),
        ("http://web/a=shut", "the = must be followed by open or blocked, not '…'"),
        ("http://web?a=1=shut", "the = must be followed by open or blocked, not '…'"),
        ("redis://u:p/w@db", "write / ? # in a password as %2F %3F %23"),
        ("redis:///0", "a target is host, host:port or [v6]:port"),
        ("http://%2Frun%2Fsocket/a", "a target is host, host:port or [v6]:port"),
        ("http://web:0", "the port must be a number from 1 to 65535"),
        ("http://5432", "did you mean localhost:5432 or HOST:5432?"),
    ],
)
def test_invalid_protocol_or_url_error_says_why(text: str, why: str) -> None:
    """The error names what is known, or the remedy."""
    with pytest.raises(ValueError, match=r"^target ") as caught:
        parse_target(text, 1, schemes=schemes)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5432", "digits alone are no host: did you mean localhost:5432 or HOST:5432?"),
        ("5432:80", "digits alone are no host: did you mean localhost:5432 or HOST:54"),
        (":5432", "did you mean localhost:5432 or HOST:5432?"),
        ("10.1", "did you mean 10.0.0.1?"),
        ("10.1:80", "did you mean 10.0.0.1?"),
        ("0x7f.1", "did you mean 127.0.0.1?"),
        ("0x7f000001", "did you mean 127.0.0.1?"),
        ("3232235777", "did you mean 192.168.1.1?"),
        ("010.0.0.1", "an IPv4 address has four decimal numbers up to 255"),
        ("10.0.0.256", "an IPv4 address has four decimal numbers up to 255"),
        ("1.2.3.4.5", "an IPv4 address has four decimal numbers up to 255"),
    ],
)
def test_number_is_not_taken_for_an_address(text: str, why: str) -> None:
    """getaddrinfo(3) would accept 5432 as 0.0.21.56, and 10.1 as 10.0.0.1."""
    with pytest.raises(ValueError, match=r"^target ") as caught:
        parse_target(text, 12345)
    assert why in str(caught.value)


@pytest.mark.parametrize("host", ["1a", "web.1", "1.web", "0x.example", "192.0.2.1"])
def test_name_with_digits_is_a_host(host: str) -> None:
    """Only what consists of numbers alone is refused."""
    assert parse_target(host, 1) == Target(host, 1)


FORMS = "a target is host, host:port or [v6]:port"
PORT = "the port must be a number from 1 to 65535"
NAME = "a name has at most 253 characters, with 1 to 63"
BRACKETS = "an IPv6 target is [address] or [address]:port"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", FORMS),
        ("   ", FORMS),
        ("-h", FORMS),
        ("two words", FORMS),
        ("a%20b", FORMS),
        (":99999", FORMS),
        ("server\x1b[31m", FORMS),
        ("ser\u202ever", FORMS),
        ("server:", "no port follows the colon"),
        ("[::1]:", "no port follows the colon"),
        ("server:0", PORT),
        ("server:65536", PORT),
        ("server:-1", PORT),
        ("server:+1", PORT),
        ("server:http", PORT),
        ("server:٨٠", PORT),
        ("server:000080", PORT),
        ("[::1", BRACKETS),
        ("[::1]80", BRACKETS),
        ("server:80:90", "is not an IPv6 address"),
        ("[server]:80", "is not an IPv6 address"),
        ("[192.0.2.1]", "is not an IPv6 address"),
        ("[]", "is not an IPv6 address"),
        ("::1::2", "is not an IPv6 address"),
        ("fe80::1%\x1b[31m", "is not an IPv6 address"),
        ("[fe80::1%two words]", "is not an IPv6 address"),
        (".", NAME),
        ("a..b", NAME),
        (".a", NAME),
        (LONGEST_LABEL + "a", NAME),
        (LONGEST_NAME + "a", NAME),
    ],
)
def test_invalid_target_error_says_why(text: str, why: str) -> None:
    """The error is one line, with the text escaped."""
    with pytest.raises(ValueError, match=r"^target ") as caught:
        parse_target(text, 12345)
    message = str(caught.value)
    assert message.startswith(f"target {text.strip()!r}: ")
    assert why in message
    assert message.isprintable()


@pytest.mark.parametrize("text", ["server:80", "[2001:db8::1]:80", "192.0.2.1:1"])
def test_target_text_round_trip(text: str) -> None:
    """What is shown can be typed again with the same meaning."""
    assert str(parse_target(text, 12345)) == text
