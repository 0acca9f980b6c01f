"""GitHub's REST API: one bounded exchange, the endpoints, the client, its errors."""
