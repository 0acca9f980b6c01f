"""Names of environment variables that decide what a child process does, rather than what it works on.

One list for the three places where a name enters HyOps' environment: `host.env_pass` (gate `config.env_pass`), the secret
map, and the start of HyOps itself. Neither a reviewed config nor a secret may set one of them: each makes the shell, the
loader, an interpreter, git, Ansible, Terraform, Packer or HyOps run or believe something that no plan shows.
"""

from __future__ import annotations

import re
from typing import Final

INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "ANSIBLE_COLLECTIONS_PATH")
"""Taken from the runner as they are. HyOps finds its Ansible collections by the last one (docs/hyops.md)."""

STEERING: Final = frozenset(
    (
        "SHELL SHELLOPTS IFS ENV CDPATH PS4 PROMPT_COMMAND GLOBIGNORE USER LOGNAME PWD EDITOR VISUAL PAGER BROWSER LESSOPEN "
        "PERLLIB RUBYOPT RUBYLIB NODE_OPTIONS NODE_PATH CLASSPATH JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS GODEBUG "
        "GCONV_PATH LOCPATH NLSPATH GLIBC_TUNABLES HOSTALIASES LOCALDOMAIN RES_OPTIONS "
        "OPENSSL_CONF OPENSSL_ENGINES OPENSSL_MODULES SSLKEYLOGFILE CURL_HOME WGETRC NETRC SSH_ASKPASS KRB5_CONFIG"
    ).split()
)
"""Exact names, in upper case."""
STEERING_PREFIXES: Final = (
    "BASH",
    "LD_",
    "DYLD_",
    "MALLOC_",
    "LC_",
    "XDG_",
    "PYTHON",
    "PIP_",
    "PERL5",
    "NPM_CONFIG_",
    "GIT_",
    "ANSIBLE_",
    "TF_",
    "TERRAGRUNT_",
    "TG_",
    "PACKER_",
    "CLOUDSDK_PYTHON",
    "HYOPS_",
    "ACTIONS_",
    "GITHUB_",
    "RUNNER_",
    "VAULT_",
    "BAO_",
)
"""Beginnings of names, in upper case: interpreters and tools, HyOps' own settings, and what belongs to GitHub or the authority."""
DATA: Final = re.compile(r"TF_(VAR|TOKEN)_.+|HYOPS_(?!INPUT|VAULT)[A-Z0-9_]+_(JSON|KEY|TOKEN|PASSWORD|PSK|SECRET)")
"""Names below one of the prefixes that hold a value and change nothing else (HyOps `HYOPS_VYOS_GCS_SA_JSON`)."""

OF_THE_RUNNER: Final = frozenset(
    (
        "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE AWS_CA_BUNDLE "
        "AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE CLOUDSDK_CONFIG SSH_AUTH_SOCK TF_PLUGIN_CACHE_DIR"
    ).split()
)
"""Where the runner stands: `host.env_pass` may hand on the runner's own value, a secret may not bring another one."""

SETTINGS: Final = {
    "HYOPS_TERRAFORM_BACKEND_MODE": "local|cloud",
    "HYOPS_TERRAFORM_ISOLATE_PLUGIN_CACHE": "true|false",
    "HYOPS_NETBOX_AUTHORITY_ENV": "[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}",
    "HYOPS_SDN_AUTHORITY_ENV": "[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}",
    "HYOPS_NETBOX_PROBE_TIMEOUT_S": "[1-9][0-9]{0,3}",
    "HYOPS_NETBOX_API_PROBE_WAIT_S": "[1-9][0-9]{0,3}",
}
"""HyOps' own settings that a reviewed config may set (`host.env`), each with the values that it takes. None of them opens a guard, names a
program or a folder, or switches a check off (HyOps `drivers/iac/terragrunt/driver.py`, `runtime/netbox_env.py`)."""


def takes(name: str, value: str) -> bool:
    """Return whether a config may set `name` to `value`."""
    return name in SETTINGS and re.fullmatch(SETTINGS[name], value, re.ASCII) is not None


def steers(name: str) -> bool:
    """Return whether a config may not hand `name` to HyOps: inherited anyway, or one that steers. Case is ignored, as HyOps does."""
    upper = name.upper()
    if upper in OF_THE_RUNNER or DATA.fullmatch(upper):
        return False
    return upper in INHERITED or upper in STEERING or upper.startswith(STEERING_PREFIXES)


def steers_as_secret(name: str) -> bool:
    """Return whether no secret may be called `name`: as `steers`, and what only the runner itself can know."""
    return steers(name) or name.upper() in OF_THE_RUNNER
