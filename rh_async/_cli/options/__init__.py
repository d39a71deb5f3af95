"""Options that commands share, and how typed values are converted."""
