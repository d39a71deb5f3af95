"""State: tasks, uploads and signed links of one emulated account, and the ledger of every request it received."""
