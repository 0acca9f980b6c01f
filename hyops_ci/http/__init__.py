"""HTTP requests that end: bounded in time and bytes, retried by one policy. The contract `http` in pyproject.toml says who sends any."""
