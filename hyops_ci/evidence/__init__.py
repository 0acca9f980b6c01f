"""Recorder, bundle, verification and report: the sealed account of a run."""
