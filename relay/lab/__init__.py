"""Whole networks on one machine, for demos, drills and tests."""
