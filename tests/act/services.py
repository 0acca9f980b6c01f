"""More services of a site, each in an env of its own: what `pg-ha/lab` has in the repository, on the runner and at the authority."""

from __future__ import annotations

import shutil
from copy import deepcopy

from hyops_ci.contracts.base import stamp
from hyops_ci.stages.context import SystemClock
from tests.act.site import SECRETS, SERVICE, Site


def add_services(site: Site, *services: str) -> None:
    """Add them to config, overlays, runner, GitHub's environments, ledgers and authority, and commit the config."""
    home = SERVICE.partition("/")[2]
    names = [path.replace(f"/{home}/", f"/{env}/") for env in (home, *map(env_of, services)) for path in SECRETS]
    for service in services:
        env = env_of(service)
        for part in ("services", "verification", "objectives"):
            site.config[part][service] = deepcopy(site.config[part][SERVICE])
        site.config["envs"][env] = deepcopy(site.config["envs"][home])
        shutil.copytree(site.env_root, site.env_root.parent / env)
        overlays = site.repository / ".github" / "dr"
        shutil.copytree(overlays / home, overlays / env)
        site.control.repository.add_environment(f"dr-{env}", branches="protected")
        for path, fields in SECRETS.items():
            site.bao.put(path.replace(f"/{home}/", f"/{env}/"), **fields)
        site.bao.add_env(env, [path for path in names if f"/{env}/" in path])
        site.ledger(service).init("onprem", stamp(SystemClock().now()))
    site.bao.add_check(names)
    site.write_config()


def env_of(service: str) -> str:
    """Return the env of a service."""
    return service.partition("/")[2]
