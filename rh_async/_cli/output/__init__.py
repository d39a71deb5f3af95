"""What a command prints: reports, live views, summaries, log lines."""
