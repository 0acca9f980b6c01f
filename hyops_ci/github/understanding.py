"""An answer in a form that this release does not know ends as a fault with a name: GitHub adds words, and takes fields away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hyops_ci.errors import Exit, Fault


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Read `what` inside the block. Raises Fault (`github.answer`, exit 12) where it cannot be read."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Fault(
            "github.answer",
            f"{what} came in a form that this release does not know",
            exit_code=Exit.UNAVAILABLE,
            found=f"{type(error).__name__} while reading it",
            expected="what GitHub's API described when this release was made",
            fix="update dr-dispatch",
            docs="github-api.md",
        ) from None
