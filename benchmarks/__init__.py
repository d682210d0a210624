"""Protocols: one file each, `run(subject, data, settings) -> Record`."""
