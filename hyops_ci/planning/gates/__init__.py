"""Every gate, one pure function each. A gate is found because its module lies here; nothing else lists it."""
