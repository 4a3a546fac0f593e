"""Known parameters come back from noisy loops, for every model that has a state."""

import importlib
import sys
from pathlib import Path

import pytest

from memtwin.devices.models import models

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
recovery = importlib.import_module("recovery")
DYNAMIC = [name for name in models if models[name].rate_expr is not None]


def test_every_dynamic_model_has_a_case():
    assert set(recovery.CASES) == set(DYNAMIC)
    for name, case in recovery.CASES.items():
        assert {*case.truth, *case.held} <= set(models[name].names), name


def test_errors_are_counted_where_they_are(monkeypatch):
    """One seed of the quickest model, told a wrong truth: what is off by many errors is a miss."""
    right = recovery.recover("vteam", 1)
    assert right.hits == right.counted >= 5
    real = recovery.fit

    def biased(*args, **settings):
        result = real(*args, **settings)
        result.parameters["v_set"] *= 1.5
        return result

    monkeypatch.setattr(recovery, "fit", biased)
    wrong = recovery.recover("vteam", 1)
    assert wrong.missed == {"v_set": 1}
    assert wrong.counted == right.counted


@pytest.mark.slow
@pytest.mark.parametrize("name", DYNAMIC)
def test_identifiable_parameters_come_back_within_three_standard_errors(name):
    """In at least 90 % of 20 loops with 1 % noise each."""
    found = recovery.recover(name, 20)
    assert found.counted >= 40  # two parameters per loop: else nothing has been shown
    assert found.share >= 90
    assert found.converged >= 18
