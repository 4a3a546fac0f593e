"""Tiles of devices, wires and periphery, and the engines that read and program them."""
