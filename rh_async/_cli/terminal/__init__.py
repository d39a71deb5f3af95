"""The terminal: fields of text that it can show, questions, periodic tasks, the warning about a silent network."""
