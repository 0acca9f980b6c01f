"""The conclude stage: verify the evidence and report how the run ended."""
