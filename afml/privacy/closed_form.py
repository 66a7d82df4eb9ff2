"""Full-batch Gaussian mechanisms compose to one (Dong, Roth, Su 2022, Cor. 3.3): nothing to approximate."""

from __future__ import annotations

from afml.privacy.events import Composition
from afml.privacy.profile import GaussianProfile


class ClosedForm:
    """Exact, and only for full batches."""

    name = "closed form"

    def profile(self, composition: Composition, delta: float) -> GaussianProfile | None:
        """None where anything was subsampled."""
        return None if composition.subsampled else GaussianProfile(composition.gaussian_mu)


ACCOUNTANT = ClosedForm()
