"""The identity of a GitHub job: the OIDC token, its issuer's keys, its claims, its replay."""
