"""The task seam and the guarantee: who is drawn, how people are folded and clipped, what noise is added."""
