"""The network directory as it stands: offices, keys, persons and rules, and every pure change of them."""
