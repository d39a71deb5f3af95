"""How a command runs: signals, stall warnings, questions, checks before paying."""
