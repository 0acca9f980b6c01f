"""The check stage: the runner looks at the plan and changes nothing."""
