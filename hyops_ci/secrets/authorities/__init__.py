"""The stores that secrets come from, one module each. Adding one adds a module here and a line in `connect.py`."""
