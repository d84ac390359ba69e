"""Golden models, cycle models and file formats: NumPy only, no hardware and no simulator."""
