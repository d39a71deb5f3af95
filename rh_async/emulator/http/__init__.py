"""HTTP: receives requests, checks them, and writes the documented responses."""
