"""The study: what one run is, running it, the resumable grid of runs, its summary, tables and figures.

docs/ANALYSIS_PLAN.md says what is run and what counts as a miss; this package does it and nothing else.
"""
