"""`hyops-ci runner prepare`: what root puts on a runner's host, so that nothing there rests on what a job may have left."""
