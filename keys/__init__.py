"""Who may say what: algorithms, signatures, sealing, verification, key files and the signed directory."""
