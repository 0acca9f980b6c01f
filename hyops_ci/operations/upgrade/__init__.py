"""To another release of dr-dispatch: pins of the callers, trust of the hosts, and what else has to know the commit."""
