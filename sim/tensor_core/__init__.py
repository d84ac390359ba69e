"""Simulation of the tensor core: benches, random cases, comparison with the models."""
