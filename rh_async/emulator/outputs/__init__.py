"""Outputs: creates the file that a successful task delivers."""
