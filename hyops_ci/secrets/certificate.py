"""Until when the certificate of an authority is good, as this machine sees it: one TLS handshake, nothing is asked and nothing is sent."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from hyops_ci.http.client import host_ca

SECONDS: Final = 5.0


def certificate_ends(origin: str, ca_bundle: str | None = None) -> datetime | str:
    """Return the end of the certificate behind an https origin, or why it cannot be seen; a text for one that is not believed here."""
    parts = urlsplit(origin)
    if parts.scheme != "https" or not parts.hostname:
        return "no TLS"
    trusted = ca_bundle or host_ca()
    context = ssl.create_default_context(cafile=trusted if isinstance(trusted, str) else None)
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or 443), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
        ):
            shown = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return f"not believed here: {error.verify_message}"
    except OSError as error:
        return f"no answer: {error.strerror or type(error).__name__}"
    until = shown.get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if isinstance(until, str) else "no end is stated"
