"""Graphs: files of the field's formats to disjoint unions, and predictions to drawings."""

from .adapter import Graph

__all__ = ["Graph"]
