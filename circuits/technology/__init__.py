"""Cells of a technology under write-verify, and in ngspice."""
