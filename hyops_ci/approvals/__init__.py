"""Approvals: the request that a person reads, the answer that they sign, and its validation (docs/design/contracts.md 5)."""
