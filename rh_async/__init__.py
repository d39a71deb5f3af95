"""rh_async."""
