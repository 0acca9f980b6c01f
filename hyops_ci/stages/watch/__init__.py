"""The watch stage: it ends a run that no runner takes."""
