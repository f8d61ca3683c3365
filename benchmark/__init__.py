"""Measure accuracy (`runner`, `metrics`) and speed (`speed/`). There is one script for each benchmark set."""
