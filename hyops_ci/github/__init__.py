"""GitHub: its REST API, its resources, and the workflow commands of a job."""
