"""Simulation of the DaDianNao engine."""
