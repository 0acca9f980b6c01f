"""DSSE envelopes and the keys that sign them."""
