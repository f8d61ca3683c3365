"""Helpers that every part of the project uses and that no paper describes. `utils` lists those for general use.

This file imports nothing: `common.startup` must be importable before torch.
"""
