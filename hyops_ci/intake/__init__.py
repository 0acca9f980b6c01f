"""Strict reading of bytes, and adapters that turn HybridOps records into decisions. Pure."""
