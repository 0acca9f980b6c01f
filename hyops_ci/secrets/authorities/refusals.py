"""Refusals and the fault of an authority that is asked for secrets."""

from __future__ import annotations

from collections.abc import Sequence

from hyops_ci.errors import Exit, Fault, Refusal
from hyops_ci.text import shell


def refuse_missing(missing: Sequence[str], origin: str) -> Refusal:
    """Return the refusal for names that the authority does not hold, each as `KEY: why`."""
    return Refusal(
        "secrets.missing",
        f"the authority lacks {len(missing)} of the secrets that the plan needs; the bundle was not touched",
        exit_code=Exit.SECRETS,
        found=f"{origin}: " + "; ".join(missing),
        expected="every name of the plan in its current version",
        fix="write the missing values at the authority, or correct the secret map; then a new run",
        docs="secrets.md",
    )


def no_versions(mount: str, origin: str) -> Refusal:
    """Return the refusal of a mount that is KV v1."""
    return Refusal(
        "secrets.mount",
        "the secrets are on a mount without versions, which cannot tell names without values",
        exit_code=Exit.SECRETS,
        found=f"{mount}/ at {origin} is KV v1",
        expected="a KV v2 mount",
        fix=shell("vault kv enable-versioning {}/", mount) + " (it changes paths for all who read there), or another vault.mount",
        docs="secrets.md",
    )


def no_subkeys(asked: str, said: str) -> Refusal:
    """Return the refusal of an authority that has no question for names alone."""
    return Refusal(
        "secrets.subkeys",
        "the authority cannot tell names without values here",
        exit_code=Exit.SECRETS,
        found=f"{asked}: {said}",
        expected="a KV v2 mount on Vault 1.10 or later, or OpenBao",
        fix="correct `vault.mount`, or upgrade the authority",
        docs="secrets.md",
    )


def unavailable(problems: Sequence[str], proxy: str) -> Fault:
    """Return the fault where no address answers, each with its problem; `proxy` is the config's, or empty."""
    way = f"through vault.proxy {proxy}" if proxy else "directly: of proxies only vault.proxy is used, not HTTPS_PROXY"
    return Fault(
        "secrets.authority",
        "no address of the authority answers; the bundle was not touched",
        exit_code=Exit.UNAVAILABLE,
        found="; ".join(problems),
        expected="one address that answers and is not sealed",
        fix=f"unseal or start the authority, or check the network from this runner ({way}); then a new run",
        docs="secrets.md",
    )


def no_login(found: str, expected: str) -> Refusal:
    """Return the refusal of a plan that names no way to log in."""
    return Refusal(
        "secrets.login",
        "the plan names no way to log in to the authority",
        exit_code=Exit.SECRETS,
        found=found,
        expected=expected,
        fix="complete `vault` in the config (docs/secrets.md)",
        docs="secrets.md",
    )
