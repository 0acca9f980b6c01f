"""The program behind the double's `hyops`."""
