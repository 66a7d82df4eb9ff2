"""What a release gives away and what it is good for: attacks, utility, baselines, report."""
