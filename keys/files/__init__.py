"""Secrets at rest: files that only their owner reads, what opens them, and how they come back."""
