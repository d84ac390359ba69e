"""Standard buses around an engine: AXI4-Lite registers, AXI4-Stream, UART."""
