"""The execute stage: the approved plan, carried out once."""
