"""The example of the rehearsal: a service, its overlays, module specs and lab secrets, as package data."""
