"""Runs a plan through a session: starts its entries, submits and saves each, and streams their outcomes."""
