"""`afml console`: a local page about one institution's runs, budgets and releases, or about an aggregator's runs.

It shows what `afml status`, `afml audit` and the work folder say, and can do one thing: approve a signed run.
"""
