"""Simulation of the row-stationary array."""
