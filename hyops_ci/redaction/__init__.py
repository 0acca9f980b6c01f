"""Remove secrets from any stream or file, in every form in which programs print them (docs/design/contracts.md 7).

`Redactor` removes known values; `scrub_patterns` is a second, separate pass over HyOps' records for credentials whose
value is not known.
"""

from hyops_ci.redaction.forms import MIN_FORM, MIN_LINE, forms
from hyops_ci.redaction.patterns import scrub_patterns
from hyops_ci.redaction.redactor import Filter, Redactor

__all__ = ["MIN_FORM", "MIN_LINE", "Filter", "Redactor", "forms", "scrub_patterns"]
