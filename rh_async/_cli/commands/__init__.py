"""The commands: one module per command, or per family of small ones."""
