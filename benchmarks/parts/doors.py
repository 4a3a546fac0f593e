"""Every shipped device, and tables of one's own, against the float network of the same run.

    cd benchmarks; python -m parts.doors            # both
    python -m parts.doors devices    # the digits on every shipped device, without wires
    python -m parts.doors tables     # wine, breast cancer and diabetes, written as CSV (scikit-learn has them)

Devices are those of the preset ``demo`` with another ``device.name``: 16 levels, write-verify within
the voltages that each device says, nonlinear reads by the engine ideal; the programming error is that
of the band which write-verify is given, 1 % of the range at least. A device for which no write-verify
can be designed says why. What writes cost changes no score and isn't simulated.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from table import Row, add_options, at_least, publish

import memtwin
from memtwin.data.errors import InputError
from memtwin.training.runs.build import levels_of, recipe_of, write_costs, write_tolerance
from memtwin.training.runs.config import RunConfig, load_config
from memtwin.training.runs.setup import set_up
from memtwin.training.trainer.loop import train_float

TABLES = {
    "wine": ("network.hidden=[16]",),
    "breast_cancer": ("network.hidden=[16]",),
    "diabetes": ("network.hidden=[16]", "training.learning_rate=0.02", "data.task=regression"),
}


def shipped() -> list[str]:
    return sorted(
        path.stem for path in (Path(memtwin.__path__[0]) / "devices/library").rglob("*.toml")
    )


def configured(changes: list[str]) -> RunConfig:
    changes = ["training.epochs=30", "training.decay=0.93", *changes, "training.engine=ideal"]
    config = load_config("demo", changes)
    levels = levels_of(config)
    error = max(write_tolerance(config, levels) / 3.0**0.5 / (levels.count - 1), 0.01)
    return load_config("demo", [*changes, f"effects.programming={error}"])


def scores(config: RunConfig) -> tuple[float, float]:
    """Accuracy, or R², of the float network and of the twin."""
    setup = set_up(config, surrogate=False)
    goal = train_float(setup.network, setup.images, config.training, seed=config.seed)[0][-1]
    costs = write_costs(config, setup.levels)
    return goal, setup.train(setup.twin(), costs).accuracy


def device_rows() -> Iterator[Row]:
    for name in shipped():
        config = configured([f"device.name={name}", "device.pricing=nominal"])
        levels, row = levels_of(config), f"digits on {name}, to float"
        try:
            recipe_of(config, levels)
        except InputError as error:
            yield Row(row, float("nan"), "points", ">= -1.5", None, str(error))
            continue
        goal, found = scores(config)
        g = 1e6 * levels.g
        note = (
            f"{100 * found:.2f} % for {100 * goal:.2f} %; {g[0]:.3g} to {g[-1]:.3g} uS,"
            f" programming error {100 * config.effects.programming:.2g} % of the range"
        )
        yield at_least(row, 100 * (found - goal), "points", -1.5, note)


def table_rows() -> Iterator[Row]:
    from sklearn import datasets  # only here

    with tempfile.TemporaryDirectory() as folder:
        for name, changes in TABLES.items():
            x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
            path = Path(folder) / f"{name}.csv"
            head = ",".join([*(f"x{k}" for k in range(x.shape[1])), "target"])
            values = np.column_stack([x, y])
            np.savetxt(path, values, delimiter=",", header=head, comments="", fmt="%.10g")
            common = [f"data.path={path}", "training.batch=10", "device.pricing=nominal", *changes]
            each = np.array([scores(configured([*common, f"seed={seed}"])) for seed in range(3)])
            goal, found = each.mean(axis=0)
            bar = -0.02 if name == "diabetes" else -1.0
            scale, unit = (1.0, "R2") if name == "diabetes" else (100.0, "points")
            note = f"{scale * found:.3g} for {scale * goal:.3g}, mean of three seeds"
            yield at_least(f"{name} from CSV, to float", scale * (found - goal), unit, bar, note)


PARTS = {"devices": device_rows, "tables": table_rows}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=PARTS, help="both when absent")
    add_options(parser)
    options = parser.parse_args()
    parts = PARTS if options.part is None else [options.part]
    rows = (row for part in parts for row in PARTS[part]())
    return publish(rows, "doors", options)


if __name__ == "__main__":
    raise SystemExit(main())
