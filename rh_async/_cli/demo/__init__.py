"""Media for the demo: characters and dances drawn on this machine."""
