"""Stands for ansible-playbook: the process that really changes things. Started by `steps`, with hyops' own group."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LONG = 600.0
DEAF = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; time.sleep(600)"


def main(do, seconds, until):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if do in ("deaf", "stuck"):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    # From here on a signal is met as the scenario says: tests that send one wait for this line.
    print("\nPLAY [provider] ****************************************************************\n", flush=True)
    # Log text keeps passwords: the real redaction knows only a handful of patterns.
    for key in sorted(os.environ):
        if key.endswith(("PASSWORD", "API_KEY")):
            print(f"ok: [localhost] => {key}={os.environ[key]}", flush=True)
    if do == "fork":
        # The child keeps standard output open, as a connection master of ssh does.
        subprocess.Popen([sys.executable, "-I", "-c", DEAF], start_new_session=True)
        time.sleep(0.2)
    time.sleep(LONG if do in ("hang", "deaf", "stuck", "crash") else float(seconds))
    while until and not Path(until).exists():
        time.sleep(0.1)
    failed = do.startswith("fail")
    if failed:
        print(f"[ERROR]: Task failed: {do.partition(':')[2] or 'as the scenario wants'}", flush=True)
    print(f"PLAY RECAP\nlocalhost : ok=4 changed=1 unreachable=0 failed={int(failed)}", flush=True)
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
