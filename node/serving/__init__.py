"""A node as a daemon: it asks which runs are for its institution, and plays those that the site admits."""
