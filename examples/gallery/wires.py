# %% [markdown]
# # How large a tile do its wires allow?
#
# All devices at random levels, all rows at the read voltage: the worst case for wires. The line
# solver is exact to a stated tolerance.

# %%
import numpy as np

import memtwin as mt
from memtwin.data.shown.pictures import PALETTE, beside, figure, plain_ticks

levels = mt.load_device("nbsto_32um").scaled(10).levels(16, v_read=0.05)
rng = np.random.default_rng(0)
sizes = (8, 16, 32, 64)
page = figure(6, 4)
axes = page.subplots()
for ohms, colour in zip((0.5, 2.0, 5.0), PALETTE, strict=False):
    lost = []
    for size in sizes:
        tile = mt.Tile(size, size, r_row=ohms, r_col=ohms, levels=levels)
        g, v = rng.choice(levels.g, tile.shape), np.full(size, 0.05)
        exact, ideal = (
            mt.engine(name, tile).program(g).read(v).sum() for name in ("line", "ideal")
        )
        lost.append(100 * (1 - exact / ideal))
    axes.plot(sizes, lost, "o-", color=colour, label=f"{ohms:g} Ω per segment")
axes.set(xlabel="rows = columns", ylabel="current lost to wires [%]", xscale="log", yscale="log")
plain_ticks(axes.xaxis, sizes)
plain_ticks(axes.yaxis, (2, 5, 10, 20))
axes.grid(alpha=0.25)
beside(axes, 3)
page

# %% [markdown]
# The loss grows with the square of the size: every segment carries the current of all cells behind
# it.
