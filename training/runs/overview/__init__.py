"""Runs at a glance: the figures of one, and how far those in a folder have come."""
