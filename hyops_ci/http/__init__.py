"""HTTP requests that end: bounded in time and bytes, retried by one policy. Only github, identity and secrets send any."""
