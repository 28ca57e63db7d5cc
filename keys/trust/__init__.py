"""Trust in the network directory: how its files are verified, kept and signed (DESIGN D8)."""
