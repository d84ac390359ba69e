"""cocotb runner, stream drivers and monitors, and benches."""
