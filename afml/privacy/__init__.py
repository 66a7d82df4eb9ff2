"""Differential privacy: mechanism events, accountants, PLE, calibration, budgets and the noise rules."""
