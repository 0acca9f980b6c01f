"""What GitHub Actions reads and writes: workflow commands, summaries, workflow files."""
