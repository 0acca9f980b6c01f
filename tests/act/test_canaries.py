"""The search that finds nothing in a good run finds what is there."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import urllib.parse
import zipfile
from pathlib import Path

import pytest

from tests.act.canaries import files_below, leaks

VALUE = 'c4n4ry/Word==1"\\'


@pytest.mark.parametrize(
    "content",
    [
        VALUE.encode(),
        json.dumps({"a": VALUE}).encode(),
        urllib.parse.quote(VALUE, safe="").encode(),
        *(base64.b64encode(b"x" * shift + VALUE.encode() + b"tail") for shift in range(3)),
    ],
)
def test_each_form_is_found_in_a_tar_in_a_zip(tmp_path: Path, content: bytes) -> None:
    inner, outer = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("deep/log")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("evidence.tar", inner.getvalue())
    (tmp_path / "artifact.zip").write_bytes(outer.getvalue())
    assert "word in artifact.zip!evidence.tar!deep/log" in leaks({"word": VALUE}, files_below(tmp_path))


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("c4n4ry/Word==2")
    assert leaks({"word": VALUE}, files_below(tmp_path)) == []
