"""Redaction: a log of 200 MB with 200 secrets in all their spellings; MB/s as a runner has it, beside `bytes.replace` over the same.

Nothing may be missed: the whole output is compared with what the planted forms have to leave, and a sample with a
byte-by-byte reference.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterator
from typing import Final

import bench
from hyops_ci.redaction import Redactor, spellings

MB: Final = 1_000_000
SIZE: Final = 200 * MB
PEER_SIZE: Final = 1 * MB
SAMPLE: Final = 2 * MB
HITS_PER_MB: Final = 8
LETTERS: Final = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!$%&*+/=?@_-"\\<> '


def run() -> bench.Result:
    """MB/s through `Redactor.stream`; MB = 1,000,000 bytes."""
    draw = random.Random(20)  # noqa: S311 -- the same log every time
    secrets = {f"SECRET_{n}": "x" + "".join(draw.choices(LETTERS, k=draw.randint(12, 63))) + "x" for n in range(200)}
    owner = _owner(secrets)
    needles = sorted(owner)
    log, expected, planted = _log(draw, owner)

    redactor, clean, seconds = _timed(Redactor(secrets), log)
    assert redactor.counts.total() == planted, f"{redactor.counts.total()} of {planted} planted forms were replaced"
    assert clean == expected, "a form is left in the output, or something else is gone"
    assert redactor.bytes(log[:SAMPLE]) == _reference(secrets, log[:SAMPLE]), "the sample differs from the slow reference"
    rate = len(log) / MB / seconds
    peer_rate = _replace_rate(needles, log[:PEER_SIZE])
    return bench.Result(
        "redaction",
        "mb_per_s",
        rate,
        ">=",
        200,
        notes=(
            f"{SIZE // MB} MB, {len(secrets)} secrets in {len(needles)} spellings, {planted} planted, {planted} replaced",
            f"peer, bytes.replace over the same spellings: {peer_rate:.2g} MB/s; ratio {rate / peer_rate:.0f}",
        ),
    )


def _owner(secrets: dict[str, str]) -> dict[bytes, str]:
    """The name of the first secret that has a form, by form."""
    owner: dict[bytes, str] = {}
    for name, value in secrets.items():
        for form in spellings(value):
            owner.setdefault(form.lstrip(b"\\"), name)  # a backslash before the first character is none of the value, and stays
    return owner


def _log(draw: random.Random, owner: dict[bytes, str]) -> tuple[bytes, bytes, int]:
    """Return log lines of 129 bytes, the same redacted, and in how many of them a form is planted.

    A form is planted between brackets, which no form holds, so that each leaves one mark.
    """
    needles = draw.sample(sorted(owner), SIZE // MB * HITS_PER_MB)
    assert not any(b"[" in needle or b"]" in needle for needle in needles)
    words = [b"step", b"ansible", b"ok=12", b"changed=3", b"host", b"restore", b"2026-11-24T10:00:00Z", b"role", b"task", b"postgres"]
    plain = [b" ".join(draw.choices(words, k=30))[:128] + b"\n" for _ in range(500)]
    lines = SIZE // 129
    log = draw.choices(plain, k=lines)
    clean = log.copy()
    chosen = draw.sample(range(lines), SIZE // MB * HITS_PER_MB)
    for number, at in enumerate(chosen):
        needle = needles[number]
        log[at], clean[at] = b"[" + needle + b"]" + log[at], f"[[redacted:{owner[needle]}]]".encode() + log[at]
    return b"".join(log), b"".join(clean), len(chosen)


def _timed(redactor: Redactor, log: bytes) -> tuple[Redactor, bytes, float]:
    sink = io.BytesIO()
    source = io.BytesIO(log)
    started = time.perf_counter()
    redactor.stream(source, sink)
    return redactor, sink.getvalue(), time.perf_counter() - started


def _replace_rate(needles: list[bytes], data: bytes) -> float:
    started, size = time.perf_counter(), len(data)
    for needle in sorted(needles, key=len, reverse=True):
        data = data.replace(needle, b"[redacted]")
    return size / MB / (time.perf_counter() - started)


def _reference(secrets: dict[str, str], data: bytes) -> bytes:
    """Byte by byte, slow and obvious."""
    owner = _owner(secrets)
    by_head: dict[bytes, list[bytes]] = {}
    for form in owner:
        by_head.setdefault(form[:8], []).append(form)

    def at(place: int) -> list[bytes]:
        return [form for form in by_head.get(data[place : place + 8], []) if data.startswith(form, place)]

    def pieces() -> Iterator[bytes]:
        place = 0
        while place < len(data):
            if here := at(place):
                yield f"[redacted:{owner[max(here, key=len)]}]".encode()
                end = place + 1
                while place < end:
                    end = max([end, *(place + len(form) for form in at(place))])
                    place += 1
            else:
                yield data[place : place + 1]
                place += 1

    return b"".join(pieces())
