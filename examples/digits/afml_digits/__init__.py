"""Handwritten digits: an example of a task for AFML on images."""
