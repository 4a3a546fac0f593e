"""Compact models, their fits to measured devices, and what the fits say about levels and pulses."""
