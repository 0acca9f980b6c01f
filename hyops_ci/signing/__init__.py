"""DSSE envelopes, keys and trust policy."""
