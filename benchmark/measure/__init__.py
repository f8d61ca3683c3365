"""Measure speed: every way to compute the network (`network`), its parts (`parts`), the whole tool (`tool`)."""
