"""Feature sources: what a task trains on, with people as rows."""
