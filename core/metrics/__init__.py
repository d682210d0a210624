"""Metrics and intervals: pure functions of NumPy arrays that refuse bad rows."""
