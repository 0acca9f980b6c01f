"""Claims, epochs and positions on a Git branch of any remote. The only package that runs `git`."""
