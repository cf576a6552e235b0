"""One paper, one file; what they share is in `contract`."""
