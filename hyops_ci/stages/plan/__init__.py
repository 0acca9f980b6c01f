"""The plan stage: a decision becomes a plan, or a refusal."""
