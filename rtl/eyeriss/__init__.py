"""Hardware of the row-stationary array."""
