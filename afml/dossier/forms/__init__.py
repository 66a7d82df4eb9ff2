"""Forms that auditors use, filled from the statements of a dossier: a value with what it stands on, or left open."""
