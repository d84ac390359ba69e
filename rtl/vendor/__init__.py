"""Cells of FPGA families behind portable interfaces."""
