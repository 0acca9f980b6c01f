"""The proof that a machine can be worked on: port, banner, pinned host key, login, cloud-init, clock."""

from hyops_ci.runners.ssh.login import Login, new_login
from hyops_ci.runners.ssh.prove import prove
from hyops_ci.runners.ssh.proven import Facts, ProvenHost, Ran
from hyops_ci.runners.ssh.stages import Candidate, Stage

__all__ = ["Candidate", "Facts", "Login", "ProvenHost", "Ran", "Stage", "new_login", "prove"]
