"""What a technology of cells behind transistors does under pulses: laws, fits, populations, files."""
