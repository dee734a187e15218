"""One command that accepts a device: it is right, it is fast, and by how much. See `__main__`."""
