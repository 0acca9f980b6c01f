"""What a machine without internet is given: wheels of the release for its Python, and a stand-in of HyOps' archive."""

from __future__ import annotations

import gzip
import io
import os
import ssl
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import trustme

from hyops_ci.files import locked
from hyops_ci.runners.bootstrap import Release, release_table
from tests.act.rewriting import ROOT

PINS: Final = (ROOT / "requirements" / "runtime.txt", ROOT / "requirements" / "hyops.txt")
_INSTALL: Final = r"""#!/usr/bin/env bash
# As HyOps' own: options, a transaction, a launcher that finds what is beside the sources, and no end without a wrapper in the home.
set -euo pipefail
while [ $# -gt 0 ]; do
  case $1 in --prefix) prefix=$2; shift 2 ;; --no-system-link | --no-setup-all | --force) shift ;; *) exit 2 ;; esac
done
[ "$HYOPS_INSTALL_NO_DEPS" = true ]
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
rm -rf "$prefix.install"
mkdir -p "$prefix.install/venv/bin" "$HOME/.hybridops"
cp -a "$here/." "$prefix.install/app"
cat >"$prefix.install/venv/bin/hyops" <<LAUNCHER
#!/bin/bash
export PYTHONPATH=$prefix/app:$prefix/app/vendor/python
exec python3 -m hyops "\$@"
LAUNCHER
chmod 755 "$prefix.install/venv/bin/hyops"
rm -rf "$prefix"
mv "$prefix.install" "$prefix"
mkdir -p "$HOME/.local/bin" && ln -sf "$prefix/venv/bin/hyops" "$HOME/.local/bin/hyops"
"$HOME/.local/bin/hyops" --version >/dev/null
"""
_HYOPS: Final = "import cryptography, requests, yaml\nprint('0.1.4')\n"


def hyops_archive(folder: Path) -> Release:
    """Write the archive under the name of the release's table; return that table with its digest."""
    table = release_table()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in {"install.sh": _INSTALL, "hyops/__main__.py": _HYOPS, "hyops/__init__.py": ""}.items():
            info = tarfile.TarInfo(f"hybridops-core-{table.hyops_version}/{name}")
            info.size, info.mode = len(text.encode()), 0o755
            archive.addfile(info, io.BytesIO(text.encode()))
    (folder / f"hybridops-core-{table.hyops_version}.tar.gz").write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    return replace(table, hyops_tar_sha256=sha256(packed.getvalue()).hexdigest())


@contextmanager
def mirror(folder: Path, address: str) -> Iterator[tuple[str, bytes]]:
    """Serve a folder over https; yield its URL and the certificate of its authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(address).configure_cert(context)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that does not like the certificate."""

    server = Server((address, 0), partial(Handler, directory=str(folder)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"https://{address}:{server.server_address[1]}/mirror", authority.cert_pem.bytes()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@cache
def wheelhouse() -> Path:
    """Return a folder of the wheels that Debian's Python takes, kept by what is pinned."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dr-dispatch-tests"
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"wheels-{sha256(b''.join(pins.read_bytes() for pins in PINS)).hexdigest()[:16]}"
    with locked(folder / "wheels.lock", wait=None):
        if not made.exists():
            draft = made.with_name(f"{made.name}.new")
            for pins in PINS:
                command = [sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--quiet"]
                machine = os.uname().machine
                command += ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
                for kind in ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014"):
                    command += ["--platform", f"{kind}_{machine}"]
                subprocess.run([*command, "-r", str(pins), "--dest", str(draft)], check=True)
            draft.rename(made)
    return made
