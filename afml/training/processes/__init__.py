"""Several processes of one node, started by torchrun, share each clipped sum."""
