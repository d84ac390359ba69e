"""The systolic engine, one component a module."""
