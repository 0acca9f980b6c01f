"""HyOps started, watched, read and judged. The only package that starts `hyops` (docs/design/architecture.md 2).

`command` says what is started and with which environment, `overlay` lends it the blueprint, `supervisor`
runs it and survives its caller, `grammar` and `records` read what it left, `outcome` judges, `verification`
looks at the service itself. Facts about HyOps with their sources: `docs/hyops.md`.
"""
