"""Training with compression in mind, by PyTorch, which the extra ``train`` brings."""
