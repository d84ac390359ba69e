"""Mutants of the RTL: faults that Yosys puts into netlists, and the benches that must see them."""
