"""Tell people of a run by a signed request."""
