"""Errors, files, configuration, logging and progress: what every other package stands on."""
