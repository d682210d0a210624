"""Generators that synthesize labelled data sets."""
