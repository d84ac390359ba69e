"""Hardware of the mixed engine."""
