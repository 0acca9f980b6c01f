"""Make the environment of hyops-ci out of its wheels, or find that it is as they say. Run by setup.sh before there is any package.

    python3 -I -S -B environment.py FOLDER REQUIREMENTS

takes the wheels that the file REQUIREMENTS pins from FOLDER-<kind of Python>/wheels and makes FOLDER-<kind of Python>/environment.
Printed are what both have in common and, where something is lacking, what; setup.sh makes refusals of the exit codes.
"""

import sys

DONE, TOO_OLD, INCOMPLETE, NOEXEC, UNWRITABLE = 0, 3, 4, 5, 6

if sys.version_info < (3, 11):  # noqa: UP036 - whatever the host has is tried
    sys.exit(TOO_OLD)

import os  # noqa: E402 - an older Python needs no more
from pathlib import Path  # noqa: E402 - nor could an older Python read the library

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from hyops_ci.operations.prepare.packages import Incomplete, make_environment, read_wheels  # noqa: E402 - found by the line above


def main(folder: str, pinned: str) -> int:
    """Return the exit code."""
    home = f"{folder}-{sys.implementation.cache_tag}"
    environment = f"{home}/environment"
    print(home)
    try:
        requirements = Path(pinned).read_text(encoding="utf-8")
        make_environment(environment, read_wheels(requirements, f"{home}/wheels"))
        unusable = os.statvfs(environment).f_flag & os.ST_NOEXEC
    except Incomplete as lacking:
        print(lacking)
        return INCOMPLETE
    except OSError as problem:
        print(f"{problem.strerror}: {problem.filename}")
        return UNWRITABLE
    return NOEXEC if unusable else DONE


sys.exit(main(*sys.argv[1:]))
