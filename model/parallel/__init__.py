"""Training on several workers: what they share, and how it equals one worker's."""
