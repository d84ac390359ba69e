"""Search for engines that suit a network and a board: what ``eieio tune`` is made of."""
