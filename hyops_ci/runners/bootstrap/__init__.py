"""What is put on a machine, whoever made it: one script, run over a proven SSH connection. Knows no provider."""

from hyops_ci.runners.bootstrap.order import AgentArchive, How, Registration, RunnerIdentity, SetupOrder, SetupResult, Step
from hyops_ci.runners.bootstrap.release import Release, release_table
from hyops_ci.runners.bootstrap.setup import set_up

__all__ = [
    "AgentArchive",
    "How",
    "Registration",
    "Release",
    "RunnerIdentity",
    "SetupOrder",
    "SetupResult",
    "Step",
    "release_table",
    "set_up",
]
