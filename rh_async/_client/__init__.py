"""What `Session` is made of: its lifetime, the options of its calls, and its methods by purpose."""
