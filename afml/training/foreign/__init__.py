"""Tasks of other packages: they run in processes that hold no key, no ledger and no connection."""
