"""The local HTTP API of one office, on Unix sockets (CONTRACT section 10)."""
