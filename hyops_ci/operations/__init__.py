"""What a person runs and no job of the workflow does."""
