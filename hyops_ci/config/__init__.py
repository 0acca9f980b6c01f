"""The config of a service, its defaults and their origin, and the narrowing by the host trust."""
