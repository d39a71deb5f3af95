"""The command line: reads arguments, prints, asks, and chooses exit codes; no other package does."""

from .app import run

__all__ = ["run"]
