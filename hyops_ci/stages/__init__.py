"""The stages of a run. Each reads from top to bottom in the order in which things happen and passes what one package learns to the next."""
