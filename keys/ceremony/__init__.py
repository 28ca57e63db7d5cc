"""What the network's administrators do: found a network, propose acts, sign them, answer requests."""
