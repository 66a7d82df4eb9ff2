"""Annotation channels of a site: how harmful its ALT allele is thought to be.

Each channel is a number in [0, 1] that grows with the predicted harm, and is 0 (`NEUTRAL`) where the
annotator says nothing: most sites are not missense and have neither score. They are read from INFO
(`annotator`), or from a file of VEP's beside the panel (`vep_output`).
"""

from afml.genomics.annotations.annotator import Annotator
from afml.genomics.annotations.harm import NEUTRAL, Harm, consequence_harm, impact_harm, polyphen_harm, sift_harm

__all__ = ["NEUTRAL", "Annotator", "Harm", "consequence_harm", "impact_harm", "polyphen_harm", "sift_harm"]
