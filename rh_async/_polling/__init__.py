"""When to ask for a task's status: the schedule, its budget, run-time estimates, and the poll workers."""
