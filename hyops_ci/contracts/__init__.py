"""The documents of dr-dispatch: frozen models, their digests and the ports to the outside. No I/O."""
