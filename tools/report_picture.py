"""`python -m tools.report_picture`: render the HTML report of a rehearsal to `docs/report.png`, with the Chromium of this machine.

The picture is made by hand, after a change of the report: it differs at each run, because the rehearsal's times do.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

PICTURE: Final = Path(__file__).resolve().parents[1] / "docs" / "report.png"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
SIZE: Final = "940,1000"
"""Width and height in pixels: down to what is proven and what is not."""
SECONDS: Final = 120


def main() -> int:
    """Return 0, or 2 where there is no browser."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        print(f"none of {', '.join(BROWSERS)} is installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        rehearse = [sys.executable, "-m", "hyops_ci", "rehearse", "--stand-in", "--folder", f"{folder}/rehearsal", "--format", "json"]
        done = subprocess.run(rehearse, check=True, capture_output=True, timeout=SECONDS)
        page = json.loads(done.stdout)["report"]
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/browser"]
        command = [browser, *options, f"--window-size={SIZE}", f"--screenshot={folder}/report.png", f"file://{page}"]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
        shutil.copyfile(f"{folder}/report.png", PICTURE)
    print(f"written {PICTURE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
