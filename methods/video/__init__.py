"""Masked methods on video."""
