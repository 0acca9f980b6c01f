"""The stages of a run. Each reads like its story, top to bottom, and is the only place where rooms meet."""
