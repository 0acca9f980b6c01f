"""Google's clients, loaded without their words on this Python: from three months before its end of life on they warn at every load.

Which Python and which release of theirs run here is said by docs/compatibility.md and requirements/. The other modules load them from
here, and only once a question is asked: it takes a second.
"""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "You are using a (non-supported )?Python version", FutureWarning)
    from google.api_core import exceptions as exceptions
    from google.api_core.client_options import ClientOptions as ClientOptions
    from google.cloud import compute_v1 as compute_v1
