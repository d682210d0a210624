"""Synthesized sets in the shapes that other programs read."""
