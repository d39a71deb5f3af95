"""Runs a plan through a session: one worker per entry, outcomes as they come."""
