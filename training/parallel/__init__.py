"""Training in several processes, which PyTorch connects on one machine."""
