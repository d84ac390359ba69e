"""Hardware of the DaDianNao engine."""
