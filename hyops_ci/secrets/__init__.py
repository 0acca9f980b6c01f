"""The room that talks to the secret authority (seed 2.8) and keeps HyOps' runtime bundle.

Names travel in plans and evidence; values live in memory, in the encrypted bundle and in the child's
environment, and nowhere else.
"""
