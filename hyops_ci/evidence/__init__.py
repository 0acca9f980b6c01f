"""The evidence of a run: recorded as it happens, sealed into a bundle, verified."""
