"""Plans a batch: finds clips, pairs them, validates every request. Nothing is sent."""
