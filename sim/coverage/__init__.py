"""Coverage of the emitted Verilog by simulations, told by lines of the Amaranth sources."""
