"""Durable memory: sealed rows in one SQLite database with one writer (DESIGN D10)."""
