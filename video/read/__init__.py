"""Read frames: files, pipes and images; their times, colours and alpha; damage, which is noted and passed over."""
