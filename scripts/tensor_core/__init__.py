"""Commands below ``eieio bench``, and pictures of the documentation, of the tensor core."""
