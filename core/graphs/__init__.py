"""Graphs: sparse products, batches of disjoint unions, and the layers of graph networks."""
