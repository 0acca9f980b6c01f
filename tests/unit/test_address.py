from __future__ import annotations

import pytest

from hyops_ci.address import is_loopback, is_protected


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
