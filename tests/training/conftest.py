"""PyTorch computes on one thread here: tests are small, and may share their machine."""

try:
    import torch
except ImportError:
    torch = None

if torch is not None:
    torch.set_num_threads(1)
