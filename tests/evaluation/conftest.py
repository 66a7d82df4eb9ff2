from __future__ import annotations

import pytest

from afml.evaluation.report import Report
from tests.evaluation.example import EXAMPLE


@pytest.fixture
def report() -> Report:
    return Report.model_validate(EXAMPLE)
