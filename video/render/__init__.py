"""Render frames: run the network between two frames, here or in worker processes, and count its cost."""
