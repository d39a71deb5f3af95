"""Files up and down: uploads cached by content, outputs written to disk and verified."""
