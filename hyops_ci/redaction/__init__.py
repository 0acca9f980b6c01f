"""Remove secrets from any stream or file, in every form in which programs print them (docs/design/contracts.md 7).

`Redactor` removes known values; `scrub_patterns` and `PatternFilter` are a second, separate pass over HyOps' records and output for
credentials whose value is not known.
"""

from hyops_ci.redaction.patterns import PatternFilter, scrub_patterns
from hyops_ci.redaction.redactor import Filter, Redactor
from hyops_ci.redaction.spellings import MIN_FORM, spellings

__all__ = ["MIN_FORM", "Filter", "PatternFilter", "Redactor", "scrub_patterns", "spellings"]
