"""`hyops-ci dispatch`: start the DR workflow of a repository and follow it."""
