"""`hyops-ci init`: the files of an adoption and what is pasted elsewhere."""
