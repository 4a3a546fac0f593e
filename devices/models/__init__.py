"""The compact models, one module each."""
