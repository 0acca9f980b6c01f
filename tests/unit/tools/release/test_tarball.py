"""Two tars of the same files are the same bytes, whoever made them and when."""

from __future__ import annotations

import tarfile
from io import BytesIO

from tools.release.tarball import fill


def packed(entries: dict[str, bytes], seconds: int = 1_700_000_000) -> bytes:
    file = BytesIO()
    fill(file, entries, seconds, frozenset({"b/run"}))
    return file.getvalue()


def test_the_order_of_the_entries_is_not_in_it() -> None:
    assert packed({"a": b"1", "b/run": b"2"}) == packed({"b/run": b"2", "a": b"1"})
    assert packed({"a": b"1"}) != packed({"a": b"1"}, 1_700_000_001)


def test_nobody_and_no_other_time_is_in_it() -> None:
    with tarfile.open(fileobj=BytesIO(packed({"b/run": b"22", "a": b"1", "n" * 120: b""}))) as tar:
        found = [(each.name, each.mode, each.size, each.mtime, each.uid, each.gid, each.uname, each.gname) for each in tar]
    rest = (1_700_000_000, 0, 0, "", "")
    assert found == [("a", 0o644, 1, *rest), ("b/run", 0o755, 2, *rest), ("n" * 120, 0o644, 0, *rest)]
