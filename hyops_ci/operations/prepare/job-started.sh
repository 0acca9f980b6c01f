#!/usr/bin/env bash
# Ends a stranger's job before its first step. GitHub's agent starts this file for each job when ACTIONS_RUNNER_HOOK_JOB_STARTED names it
# (docs/host-trust.md). It compares what the agent says of the job with /etc/dr-dispatch/trust.json; what it cannot know, the commit of
# dr-dispatch among it, `check` and `execute` compare with the job's token. Whatever goes wrong here ends the job.
# A hook that fails is not enough: the agent still runs steps with `if: always()`. So the agent's worker, which would run them, is killed;
# its last words on stderr are what the agent shows as the cause.
set -uo pipefail
cd /
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

judge='
import json, os, re, sys

def said(name):
    return os.environ.get(name, "")

def shown(value):
    return re.sub("[^ -~]", "?", value)[:120] or "nothing"

path = "/etc/dr-dispatch/trust.json"
with open(path, encoding="utf-8") as file:
    facts = os.fstat(file.fileno())
    if facts.st_uid != 0 or facts.st_mode & 0o022:
        sys.exit(path + " is not a file of root that only root can write")
    trust = json.load(file)

events = trust.get("events") or ["workflow_dispatch", "repository_dispatch", "schedule"]
demands = [
    ("GITHUB_REPOSITORY_ID", [str(trust["repository_id"])]),
    ("GITHUB_REPOSITORY_OWNER_ID", [str(trust["repository_owner_id"])]),
    ("GITHUB_REF", [trust["ref"]]),
    ("GITHUB_REF_PROTECTED", ["true", "True"]),
    ("GITHUB_EVENT_NAME", events),
]
wrong = [(name, said(name), wanted) for name, wanted in demands if said(name) not in wanted]

workflow, _, ref = said("GITHUB_WORKFLOW_REF").partition("@")
callers = trust.get("caller_workflows")
known = workflow in callers if callers else workflow.startswith(said("GITHUB_REPOSITORY") + "/.github/workflows/")
if not known or ref != trust["ref"]:
    wanted = callers or ["a workflow of the repository"]
    wrong.append(("GITHUB_WORKFLOW_REF", said("GITHUB_WORKFLOW_REF"), [each + "@" + trust["ref"] for each in wanted]))

actor = said("GITHUB_ACTOR").lower()
if actor.endswith("[bot]") and said("GITHUB_EVENT_NAME") != "schedule":
    apps = [str(each) for each in trust.get("apps") or []]
    if said("GITHUB_ACTOR_ID") not in apps or actor == "github-actions[bot]":
        wrong.append(("GITHUB_ACTOR_ID", said("GITHUB_ACTOR_ID") + " " + actor, apps or ["a person"]))

if wrong:
    sys.exit("; ".join("%s is %s, not %s" % (name, shown(found), " or ".join(wanted)) for name, found, wanted in wrong))
'
if problem=$(python3 -I -c "$judge" 2>&1); then exit 0; fi

problem="this host does not accept this job: ${problem##*$'\n'}"
echo "::error title=REFUSED host.caller (exit 7)::$problem"
logger -t dr-dispatch -p auth.warning -- "job of ${GITHUB_REPOSITORY:-?} run ${GITHUB_RUN_ID:-?} ended: $problem" 2>/dev/null || :
if [ "${GITHUB_ACTIONS:-}" = true ]; then
  { echo "REFUSED host.caller (exit 7): $problem" >"/proc/$PPID/fd/2"; } 2>/dev/null || :
  kill -KILL "$PPID"
fi
exit 7
