"""A person's yes or no: the request they read, the answer they sign, and the judgement of what was signed (docs/design/contracts.md 5)."""
