"""Mutation testing of protocol/, keys/verify.py and the store: `make mutants`."""
