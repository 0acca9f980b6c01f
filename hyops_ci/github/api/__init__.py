"""GitHub's REST API: the client, the endpoints, responses and errors."""
