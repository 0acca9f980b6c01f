"""Claims, epochs and positions on a Git branch of any remote. The only room that runs `git`."""
