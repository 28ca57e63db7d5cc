"""Configurations of brokers: text builders, one module per engine, and what a folder of a broker holds."""
