"""Attacks on the training mechanism itself: how much privacy is lost *at least* (docs/AUDIT.md).

`mechanism` repeats worst-case single steps, `run` hides canaries in one whole training run. Both end in
an interval `[audited, accounted]`; an audited value above the accounted one proves that something is broken.
"""
