"""The decision: what to run, where, how big, at what cost, and why."""
