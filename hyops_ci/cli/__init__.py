"""The command line: thin commands that parse, call one stage or operation, and render."""
