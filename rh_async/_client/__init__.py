"""What `Session` is made of: its lifetime, and the options of its calls."""
