"""`relay keys`: the commands of keys, persons and the network directory."""
