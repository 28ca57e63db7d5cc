"""Seeded faults: each breaks one promise on purpose in a copy of the tree, and a test must notice (`make sabotage`)."""
