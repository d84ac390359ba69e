"""An engine of another package: one fully connected layer on one multiplier."""
