"""Masked methods on video with sound."""
