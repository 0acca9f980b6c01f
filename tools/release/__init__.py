"""A release of this repository: what is looked at before, and the files that it consists of (docs/releasing.md)."""
