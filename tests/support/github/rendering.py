"""GitHub's own examples, with their addresses moved to the fake and to the thing that is shown."""

from __future__ import annotations

import json
import re
from typing import Any


def moved(seed: Any, url: str, *, repository: str = "", user: str = "", org: str = "") -> Any:
    """`seed` with the addresses of the example's repository, user or organization turned into those given here."""
    text = json.dumps(seed)
    if repository:
        text = re.sub(r"https://api\.github\.com/repos/[\w.-]+/[\w.-]+", f"{url}/repos/{repository}", text)
        text = re.sub(r"https://github\.com/[\w.-]+/[\w.-]+?(?=[/\"]|\.git\")", f"https://github.com/{repository}", text)
    if user:
        text = re.sub(r"https://api\.github\.com/users/[\w.-]+", f"{url}/users/{user}", text)
        text = re.sub(r"https://github\.com/octocat(?=[\"/])", f"https://github.com/{user}", text)
    if org:
        text = re.sub(r"https://api\.github\.com/orgs/[\w.-]+", f"{url}/orgs/{org}", text)
    return json.loads(text.replace("https://api.github.com", url))
