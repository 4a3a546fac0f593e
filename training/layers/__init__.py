"""Layers of networks, and how a configuration writes them."""
