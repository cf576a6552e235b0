"""How a trained network is asked where: one read-out, one file."""
