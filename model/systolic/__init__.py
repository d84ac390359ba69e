"""The systolic engine: configuration, quantized networks, golden model and cycle model."""
