"""Ready-made tasks: what most people train needs a module and a loss, and nothing else."""
