"""Conduction laws with temperature: declared, composed with a model's state, and told apart by data."""
