# %% [markdown]
# # A network that learns on memristors
#
# For researchers. Ten minutes: train a network whose every forward pass goes through wires and
# device laws, set it beside the same network in float, count its writes, and let ngspice check
# some of its answers.

# %%
import numpy as np

import memtwin as mt
from memtwin.data.shown.pictures import figure
from memtwin.training.runs import plots

# %% [markdown]
# Eight-by-eight digits, and tiles of 32 × 32 devices with 16 levels each; a weight is the
# difference of two.

# %%
data = mt.load_data("digits")
device = mt.load_device("nbsto_32um").scaled(10)
tile = mt.Tile(32, 32, levels=device.levels(16, v_read=0.05))
print(data)

# %% [markdown]
# The Siamese scheme: forward through the memristor twin, gradients in a float twin, and only
# devices whose level changes are written. Here the twin reads through a surrogate of the tile,
# wires included.

# %%
twin = mt.Twin(mt.mlp(64, 32, 10), tile, engine="surrogate")
twin.fit(data, epochs=6)
print(twin)
print(f"{100 * twin.score(data):.1f} % of {len(data.x_test)} test images right")

# %% [markdown]
# What it cost: device writes per epoch, beside a closed loop that brings every device to its
# target after every batch.

# %%
records = twin.result.records
page = figure(6, 4)
plots.writes(
    page.subplots(),
    [record.cost.writes for record in records],
    [record.closed_loop.writes for record in records],
)
page

# %%
first = records[0].summary()
print(f"writes removed in the first epoch: {first['writes_removed_percent']:.2f} %")
print(f"energy removed in the first epoch: {first['energy_removed_percent']:.2f} %")

# %% [markdown]
# Does ngspice agree? A tile of the kind that the network lives on, with random levels and inputs,
# read in both:

# %%
g = np.random.default_rng(0).choice(tile.levels.g, tile.shape)  # [S]
v = np.random.default_rng(1).uniform(0.0, 0.05, (4, 32))  # [V]
surrogate, spice = (mt.engine(name, tile).program(g).read(v) for name in ("surrogate", "spice"))
print(
    f"surrogate from ngspice: {100 * np.abs(surrogate - spice).max() / spice.max():.4f} % of full scale at most"
)

# %% [markdown]
# `memtwin run mnist` does the whole job, ngspice's validation of whole images included, and writes
# a report; `memtwin report RUN RUN` sets several side by side.
