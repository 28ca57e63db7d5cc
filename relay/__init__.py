"""The running office: engine, store, connections, local API and command line."""
