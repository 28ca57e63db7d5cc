"""Speed and memory of one hop, beside the least work possible and beside a plain script. `make bench`."""
