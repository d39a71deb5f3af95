"""Catalogue: the emulated models, their parameters and their prices."""
