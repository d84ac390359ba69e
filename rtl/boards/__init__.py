"""Tops of FPGA boards."""
