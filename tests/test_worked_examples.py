"""The documentation's examples of every dataset, run as they stand."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SAYS = (
    r"two cycles.csv, sweep 2 1\.00 mA",
    r"r_s = 4\d\.\d ± \d\.\d ohm",
    r"pulses \[.*\] standard deviation",
    r"up 6\.3\d % over a floor of 5\.3",
    r"one pulse of 2\.5 V sets \d\d % of \d+ cells",
    r"after 7e\+05 to 2e\+06 cycles: window 7\.\d",
    r"of 40 uS: \[\d\d\.\d",
    r"the loop within 0\.00\d %",
)


def test_every_example_is_tested():
    assert len(EXAMPLES) == len(SAYS)


@pytest.mark.data
@pytest.mark.parametrize("k", [k for k in range(len(SAYS)) if k != 1])
def test_example(k, capsys):
    exec(compile(EXAMPLES[k], f"{PAGE.name}, example {k + 1}", "exec"), {})
    assert re.search(SAYS[k], capsys.readouterr().out)


@pytest.mark.data
@pytest.mark.slow
def test_the_fit_of_a_measured_loop(capsys):
    exec(compile(EXAMPLES[1], f"{PAGE.name}, example 2", "exec"), {})
    assert re.search(SAYS[1], capsys.readouterr().out)
