"""`hyops-ci doctor`: whether a recovery would start now, seen from this host."""
