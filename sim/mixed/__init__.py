"""Simulation of the mixed engine."""
