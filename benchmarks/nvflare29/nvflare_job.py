"""Code that NVIDIA FLARE's server and clients load for the comparison: a fixed update, an empty global model.

Runs inside NVFlare's own processes and environment; nothing of AFML is imported.
"""

from __future__ import annotations

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.executor import Executor
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.model import ModelLearnable, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor


class FixedUpdate(Executor):
    """A client whose update is ready: one flat float32 tensor."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        self._update = np.random.default_rng(1).standard_normal(parameters).astype(np.float32)

    def execute(self, task: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """The update, weighted by one local step."""
        dxo = DXO(DataKind.WEIGHT_DIFF, data={"flat": self._update}, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: 1})
        return dxo.to_shareable()


class ZeroModel(ModelPersistor):
    """The global model begins as zeros and is not stored."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        self._parameters = parameters

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        """Zeros."""
        return make_model_learnable({"flat": np.zeros(self._parameters, np.float32)}, {})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        """Not part of the comparison."""
