"""Schedule frames: find cuts and duplicates, and decide at which times the output has frames."""
