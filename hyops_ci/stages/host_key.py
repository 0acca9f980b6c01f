"""This host's key: one key signs its evidence and its transitions of the ledger (docs/design/contracts.md 6)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyops_ci.config.settings import data_home, host_key_path, lane_settings
from hyops_ci.contracts.config import DispatchConfig
from hyops_ci.dataclass import dataclass
from hyops_ci.errors import Refusal
from hyops_ci.ledger.ledger import Ledger
from hyops_ci.ledger.vouching import Vouchers
from hyops_ci.signing.dsse import load_host_key, public_of, sign
from hyops_ci.stages.context import RunContext

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class HostKey:
    """The key of this host, as far as the config names one and it can be used. It is read when it is first needed."""

    path: Path
    trusted: Mapping[str, str]
    """Name -> public key of every host that the config believes."""

    @cached_property
    def trouble(self) -> str:
        """Why this host signs no transition that others would believe; empty where it does."""
        if not self.trusted:
            return "the config has no host_keys"
        if isinstance(self._private, str):
            return self._private
        public = public_of(self._private)
        return "" if public in self.trusted.values() else f"the key of this host, {public}, is not in host_keys"

    def sign(self, payload: bytes, payload_type: str) -> dict[str, Any]:
        """Return an envelope signed by this host. Raises ValueError where its key cannot be used."""
        if isinstance(self._private, str):
            raise ValueError(self._private)
        return sign(payload, payload_type, [self._private])

    @cached_property
    def _private(self) -> Ed25519PrivateKey | str:
        """The key, or why it cannot be used."""
        try:
            return load_host_key(self.path)
        except Refusal as error:
            return f"the host's key cannot be used: {error.found}"


def host_key(config: DispatchConfig) -> HostKey:
    """Return this host's key. `config` is the reviewed one without what the host's trust does not list."""
    return HostKey(Path(host_key_path(config)), config.host_keys)


def vouched_ledger(config: DispatchConfig, service: str, context: RunContext) -> Ledger:
    """Return the ledger of a service for acting on it: nothing of it is believed but what the keys of `config` vouch for.

    `config` is the reviewed one under the host's trust. Raises as `RunContext.ledger_in_use`.
    """
    home = lane_settings(config, data_home(config, service)).failure_domain if service in config.services else ""
    vouchers = Vouchers(
        now=context.latest_known,
        host_keys=config.host_keys,
        approvers=config.approvals.approvers,
        quorum=config.approvals.quorum,
        home_site=home,
    )
    ledger = context.ledger(service, vouchers)
    ledger.vouchers = vouchers
    key = host_key(config)
    ledger.sign = key.sign if not key.trouble else None
    return ledger
