"""What a batch costs: price quotes, estimates, the budget, and each entry's charge."""
