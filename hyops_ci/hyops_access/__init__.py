"""How a stage reaches HyOps and its files: as the user that hyops-ci runs as, or by one sudo rule as a user of HyOps' own."""
