"""Driver of an engine on a board, for the host."""
