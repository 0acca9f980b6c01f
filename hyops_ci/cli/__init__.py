"""The command line: thin commands that parse, call one stage or room, and render."""
