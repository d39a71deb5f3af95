"""Building blocks for asyncio: shared work, the session's task group, deadlines, unforeseen defects."""
