"""The systolic engine: configuration, compiler and cycle model."""
