"""Methods on graphs, one file each."""
