"""How a network is computed on this machine, in training and in inference."""
