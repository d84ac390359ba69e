"""Eyeriss, a row-stationary array: configuration, mappings, and models of what it does."""
