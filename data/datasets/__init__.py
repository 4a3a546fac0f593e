"""Readers of what a data set can lie in, and what is done to it before a network sees it."""
