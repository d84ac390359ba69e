"""Simulation of the sparse engine: benches, random cases, comparison with the models."""
