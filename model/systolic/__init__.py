"""The systolic engine: configuration, golden model and cycle model."""
