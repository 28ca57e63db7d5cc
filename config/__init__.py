"""Settings and logging: what an administrator decides."""
