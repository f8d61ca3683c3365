"""Measure speed: every way to compute the network (`network`), the table of costs (`tune`), the whole tool (`tool`)."""
