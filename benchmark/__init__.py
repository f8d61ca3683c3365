"""Measuring: accuracy (runner, metrics), computation (macs), and one script for each benchmark set."""
