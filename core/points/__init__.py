"""Point-cloud trunks: groups of points as tokens, in a hierarchy of levels."""
