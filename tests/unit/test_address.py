from __future__ import annotations

import socket
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyops_ci.address import is_loopback, is_protected, is_this_host


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.9.9.9", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("", False), ("localhost.x", False), ("127.1", False)],
)
def test_loopback_by_spelling(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("url", "protected"),
    [
        ("https://vault.example.net", True),
        ("http://127.0.0.1:8200", True),
        ("http://[::1]:8200/x", True),
        ("http://localhost/x", True),
        ("http://localhost.example.net", False),
        ("http://127.0.0.1@example.net", False),
        ("http://example.net", False),
        ("ftp://127.0.0.1", False),
        ("file:///etc/passwd", False),
        ("https", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_what_a_secret_may_be_sent_to(url: str, protected: bool) -> None:
    assert is_protected(url) is protected


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "ip6-localhost", "", "."),
        *(
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "0",
            "0.0.0.0",
            "0x7f.1",
            "0X7F000001",
            "017700000001",
            "0177.1",
            "2130706433",
            "0x",
        ),
        *("::1", "[::1]", "0:0:0:0:0:0:0:1", "0000::0001", "::", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1"),
        *("169.254.169.254", "0xa9fea9fe", "fe80::1", "fe80::1%eth0", "0.1.2.3"),
    ],
)
def test_this_host_in_any_spelling(host: str) -> None:
    assert is_this_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "vault.example.net",
            "localhost.example.net",
            "notlocalhost",
            "10.0.0.1",
            "10.1",
            "0xa000001",
            "128.0.0.1",
            "1.2.3.4.5",
            "127.0.0.256",
        ),
        *(
            "127.0.0.1.example.net",
            "0x7g",
            "08",
            "2001:db8::1",
            "[2001:db8::1]",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "[:::]",
            "4294967296",
        ),
    ],
)
def test_another_host(host: str) -> None:
    assert not is_this_host(host)


@given(parts=st.lists(st.integers(0, 2**32), min_size=1, max_size=5), style=st.sampled_from(["{}", "{:#o}", "{:#x}"]), dot=st.booleans())
def test_numbers_are_read_as_the_resolver_reads_them(parts: list[int], style: str, dot: bool) -> None:
    host = ".".join(style.format(part).replace("0o", "0") for part in parts)
    try:
        address = IPv4Address(socket.inet_aton(host))
    except OSError:
        assert not is_this_host(host)
        return
    assert is_this_host(host + "." * dot) is (address.is_loopback or address.is_link_local or int(address) < 1 << 24)


@given(host=st.text(alphabet="01789abcdefx.:[]%-lost", max_size=20) | st.text(max_size=10))
def test_any_text_is_this_host_or_another(host: str) -> None:
    assert is_this_host(host) in (True, False)
