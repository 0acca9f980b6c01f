"""Strict readers of JSON and YAML, and the refusals for documents that do not fit their model."""
