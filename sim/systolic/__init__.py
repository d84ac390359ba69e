"""Simulation of the systolic engine: benches, random cases, comparison with the models."""
