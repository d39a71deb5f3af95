"""Options that commands share, and how the command line's words become values."""
