"""`python -m hyops_ci.cli`."""

from hyops_ci.cli.app import main

main()
