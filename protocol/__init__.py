"""The rules of the wire: values, tables and decisions, without clock, randomness, I/O or await (DESIGN D11)."""
