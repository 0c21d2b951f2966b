"""Processes: what starts them, watches them and signals them."""
