"""Measurements of speed: the network by every way (`network`), its table of costs (`tune`), the whole tool (`tool`)."""
