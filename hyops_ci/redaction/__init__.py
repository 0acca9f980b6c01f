"""Secret values out of any stream or file, in every form in which programs print them (docs/design/contracts.md 7).

`Redactor` removes values that are known; `scrub_patterns` is a second, separate pass over records of HyOps for
credentials whose value nobody told us.
"""

from hyops_ci.redaction.forms import MIN_FORM, MIN_LINE, forms
from hyops_ci.redaction.patterns import scrub_patterns
from hyops_ci.redaction.redactor import Filter, Redactor

__all__ = ["MIN_FORM", "MIN_LINE", "Filter", "Redactor", "forms", "scrub_patterns"]
