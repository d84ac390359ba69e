"""The sparse engine: configuration, format, compiler, golden model and cycle model."""
