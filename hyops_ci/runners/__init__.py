"""The lifecycle of a standing runner: looked at, decided on, made, proven, set up, registered, and tidied up."""
