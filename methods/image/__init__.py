"""Masked methods on images."""
