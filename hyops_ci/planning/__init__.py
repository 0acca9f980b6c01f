"""Routes, gates and the planner: decision, config and facts in, plan or refusal out. Pure."""
