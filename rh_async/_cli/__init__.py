"""Words in, words out, exit codes: the one room that prints, reads the command line and ends the process."""

from .app import run

__all__ = ["run"]
