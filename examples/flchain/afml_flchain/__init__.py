"""Death within five years from age, sex and a blood test: an example of a task for AFML."""
