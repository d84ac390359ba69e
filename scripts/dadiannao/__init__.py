"""Commands below ``eieio bench`` of the DaDianNao engine."""
