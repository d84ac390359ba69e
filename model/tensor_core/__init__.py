"""The tensor core: configuration, floating-point formats, golden model."""
