"""The protocol, without I/O: builds calls, and decodes what the server answered."""
