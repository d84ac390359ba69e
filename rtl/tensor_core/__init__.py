"""The tensor core, one component a module."""
