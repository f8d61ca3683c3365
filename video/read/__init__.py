"""Read frames from files, pipes and images, with their times, colours and alpha. Damage is noted and passed over."""
