"""The proof that a machine can be worked on: port, banner, pinned host key, login, cloud-init, clock."""
