"""How an office comes into the network and stays in it: requests, answers, its home, new keys in time."""
