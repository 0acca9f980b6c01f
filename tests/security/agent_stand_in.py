"""Stands in for GitHub's agent where a job begins: a listener that starts one worker for each job, and the worker that runs hook and steps.

    python agent_stand_in.py <jobs.json >ends.json

After its documentation: the worker starts `bash -e <ACTIONS_RUNNER_HOOK_JOB_STARTED>` with the default variables before the first step,
and any other exit code than 0 fails the job. After its sources (`StepsRunner`, `JobDispatcher`, 2.336): a failed job still runs its
steps with `if: always()`, and when a worker dies the listener shows what it last said on stderr, and goes on to the next job.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

HOOK = "ACTIONS_RUNNER_HOOK_JOB_STARTED"
TELLS = ("PATH", "HOME", HOOK)


def listen(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How each job ended: exit code of its worker, and what that said on stderr."""
    ends = []
    for job in jobs:
        worker = [sys.executable, __file__, "spawnclient"]
        done = subprocess.run(worker, input=json.dumps(job), capture_output=True, text=True, check=False, env=inherited())
        ends.append({"rc": done.returncode, "said": done.stderr, "log": done.stdout})
    return ends


def work(job: dict[str, Any]) -> int:
    """Run the hook, then each step whose condition holds."""
    variables = inherited() | job["variables"] | {"GITHUB_ACTIONS": "true"}
    failed = False
    if hook := os.environ.get(HOOK):
        failed = subprocess.run(["bash", "-e", hook], env=variables, cwd=job["workspace"], check=False).returncode != 0
    for step in job["steps"]:
        if step.get("if") == "always()" or not failed:
            failed |= subprocess.run(["bash", "-e", "-c", step["run"]], env=variables, cwd=job["workspace"], check=False).returncode != 0
    return 1 if failed else 0


def inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in TELLS if name in os.environ}


if __name__ == "__main__":
    given = json.load(sys.stdin)
    if sys.argv[1:] == ["spawnclient"]:
        sys.exit(work(given))
    json.dump(listen(given), sys.stdout)
