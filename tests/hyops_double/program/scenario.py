"""The words of `double.json`, and what each makes the double do.

version             what `hyops --version` says
preflight_block     {step id: reason}: the driver's preflight blocks the step; without it the driver looks at credentials and logs in
drift               {step id: detail}: live verification finds drift, so a `verify_state_on_skip` step runs again
grace               seconds from interrupt to kill that hyops gives its provider (15 as the real one)
steps.<id>.do       ok | fail       the provider ends with 0 or 2
                    hang            the provider sleeps for a long time and ends on SIGINT
                    deaf            the provider ignores SIGINT and SIGTERM
                    fork            the provider leaves a process of another session behind that ignores both, then succeeds
                    stuck           hyops itself ignores SIGINT and its provider hangs
                    crash           hyops kills itself with SIGKILL while the provider goes on
                    vanish          hyops exits 0 in the middle of the step
                    running         the step succeeds, but its state stays `running`
                    stale           the step is reported ok, but its state keeps the old run id
steps.<id>.seconds  how long the provider works before it ends
steps.<id>.until    a file: the provider works until it is there
steps.<id>.leak     [environment keys] whose values hyops prints in every encoding
steps.<id>.mib      MiB of lines that hyops prints
steps.<id>.say      [lines] that hyops prints on standard output as they are
steps.<id>.destroy  what its destroy does, in the words of `do`; `destroy_seconds` how long it takes
no_final            the final status line is left out
"""

import json
import os
from pathlib import Path


def load():
    path = Path(os.environ.get("HYOPS_CORE_ROOT", "."), "double.json")
    return json.loads(path.read_text()) if path.exists() else {}


def of_step(step_id):
    return load().get("steps", {}).get(step_id, {})
