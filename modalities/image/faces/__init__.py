"""Faces: templates, detection, alignment, aligned folders and feature extractors."""
