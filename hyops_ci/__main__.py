"""`python -m hyops_ci`."""

from hyops_ci.cli.app import main

main()
