"""The `relay` command: a client of the daemon, and the door to the tools that work without it."""
