"""Commands below ``eieio bench`` of the row-stationary array."""
