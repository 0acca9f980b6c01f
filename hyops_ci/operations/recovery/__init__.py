"""`hyops-ci recovery`: several services, recovered in waves, each by a run of its own (docs/recovery-plans.md)."""
