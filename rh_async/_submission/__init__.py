"""One paid submit, and coming back to it: claim, upload, slot, POST, record, recovery."""
