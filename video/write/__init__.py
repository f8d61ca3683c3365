"""Write frames: choose a codec, encode segments, join them with the source's other streams, and resume a run."""
