"""Helpers that all parts of the project use and no paper describes. `utils` lists those for general use.

This file imports nothing: `common.startup` must be importable before torch.
"""
