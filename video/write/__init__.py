"""Write frames: choose a codec, encode segments, join them with the source's other streams, resume a broken run."""
