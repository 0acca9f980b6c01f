"""The hosts that do the work, and what they demand of whoever calls them (workflows, section 6)."""
