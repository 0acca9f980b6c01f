"""Start a program of hyops-ci from the sources of this commit, with what earlier jobs compiled of the same sources.

    python3 -I hyops_ci/start.py MODULE ARGUMENT...

calls `main` of the module. Run by a path: by setup.sh, and for the supervisor of HyOps.

Actions are downloaded anew for each job, so that Python would compile the library each time. Its compiled files are kept in the folder of
the environment instead, and are as trusted as the packages there: in the environment of root, to which a job cannot write, for all jobs; in
one of the tool cache until the next job, which removes them. Each names the hash of its source (PEP 552) and is made anew for another.
"""

import importlib
import os
import sys
from importlib.machinery import FileFinder, SourceFileLoader
from importlib.util import source_hash
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
COMPILED = f"{sys.prefix}/compiled"
CHECKED = (0b11).to_bytes(4, "little")


def kept(path: str) -> str:
    """Return where the compiled file that Python looks for beside its source is kept."""
    return COMPILED + path.removeprefix(ROOT) if path.endswith(".pyc") else path


class Loader(SourceFileLoader):
    """Loads sources as Python does, with compiled files of that other place."""

    def get_data(self, path: str) -> bytes:
        """Return the bytes of a source or compiled file. Raises OSError where there is none."""
        return super().get_data(kept(path))

    def set_data(self, path: str, data: bytes, *, _mode: int = 0o666) -> None:  # type: ignore[override]  # Python hands on bytes
        """Keep a compiled file, checked by its source instead of by a time. Where the folder is not ours to write, nothing is kept."""
        header = data[:4] + CHECKED + source_hash(self.get_data(self.path))
        super().set_data(kept(path), header + data[16:], _mode=_mode)


def finder(path: str) -> FileFinder:
    """Return the finder of a folder of the library. Raises ImportError for any other folder."""
    if path != ROOT and not path.startswith(f"{ROOT}/hyops_ci"):
        raise ImportError
    return FileFinder(path, (Loader, [".py"]))


def main() -> None:
    """Call the program that the first argument names."""
    if ROOT not in sys.path:  # where the library is installed as a package, Python finds it, and keeps what it compiles beside it
        sys.path_hooks.insert(0, finder)
        sys.path.insert(0, ROOT)
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # none is looked for among the packages, and none sees what is validated
    program = importlib.import_module(sys.argv.pop(1))
    try:
        program.main()
    except SystemExit as end:
        # The step is over once its words are out. Python would first take some hundred modules apart, for 40 ms of each step.
        sys.stdout.flush()
        sys.stderr.flush()
        if end.code is None or isinstance(end.code, int):
            os._exit(end.code or 0)
        raise


if __name__ == "__main__":
    main()
