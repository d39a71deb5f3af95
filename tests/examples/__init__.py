"""Programs that a user would write. The suite type-checks them and runs them against the emulator."""
