"""The sparse engine, one component a module."""
