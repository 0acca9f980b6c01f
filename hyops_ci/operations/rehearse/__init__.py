"""`hyops-ci rehearse`: an example decision through every stage, in one process."""
