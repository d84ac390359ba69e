"""Recipes: one training method each, measured beside what it is compared with."""
