"""Hardware generators, written in Amaranth."""
