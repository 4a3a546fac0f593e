"""Cycle-to-cycle variability: the features of a cycle, and a process that generates them."""
