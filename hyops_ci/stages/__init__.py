"""One module per stage of a run: the only place where rooms meet."""
