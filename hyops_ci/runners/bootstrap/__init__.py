"""What is put on a machine, whoever made it: one script, run over a proven SSH connection. Knows no provider."""
