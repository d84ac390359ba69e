"""Winograd transforms in adders and shifts, one component a module."""
