"""The secret authority (docs/design/anti-drift.md 2.8) and keeps HyOps' runtime bundle.

Names travel in plans and evidence; values live in memory, in the encrypted bundle and in the child's
environment, and nowhere else.
"""
