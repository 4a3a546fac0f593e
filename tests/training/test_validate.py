"""The confidence interval of a validation, held to the equation that defines it, and its picture."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from memtwin.data.errors import InputError
from memtwin.training.runs.plots import accuracy
from memtwin.training.trainer.validate import wilson

Z = 1.959963984540054
"""Quantile of the normal distribution at 97.5 %."""

COUNTS = st.integers(1, 20_000).flatmap(
    lambda count: st.tuples(st.sampled_from([0, count]) | st.integers(0, count), st.just(count))
)


@given(COUNTS)
@example((10, 10))
@example((0, 1))
def test_the_ends_of_the_interval_solve_the_score_equation(case):
    hits, count = case
    share, ends = hits / count, wilson(hits, count)
    assert 0.0 <= ends[0] <= share <= ends[1] <= 1.0
    for p in ends:
        # The true proportions from which the one found is just 1.96 deviations away.
        assert abs(share - p) == pytest.approx(Z * np.sqrt(p * (1.0 - p) / count), abs=1e-9)


@pytest.mark.parametrize("case", [(0, 0), (-1, 3), (4, 3)])
def test_what_is_no_proportion_is_refused(case):
    with pytest.raises(InputError, match="expected hits from 0 to the count"):
        wilson(*case)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_or_no_images_right_are_drawn(share):
    for count in [*range(1, 30), 999, 1000, 10_000]:
        axes = Figure().subplots()
        accuracy(axes, [0.9], [0.9], spice_accuracy=share, spice_images=count)
        low, high = (np.sort(axes.collections[0].get_segments()[0][:, 1])).tolist()
        assert low <= 100.0 * share <= high
