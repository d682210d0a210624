"""Masked methods on point clouds."""
