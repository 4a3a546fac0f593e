# %% [markdown]
# # How large a tile do its wires allow?
#
# All devices at random levels, all rows at the read voltage: the worst case for wires. The line
# solver is exact to a stated tolerance.

# %%
import numpy as np

import memtwin as mt
from memtwin.data.shown.pictures import beside, figure

levels = mt.load_device("nbsto_32um").scaled(10).levels(16, v_read=0.05)
rng = np.random.default_rng(0)
sizes = (8, 16, 32, 64)
page = figure(6, 4)
axes = page.subplots()
for ohms in (0.5, 2.0, 5.0):
    lost = []
    for size in sizes:
        tile = mt.Tile(size, size, r_row=ohms, r_col=ohms, levels=levels)
        g, v = rng.choice(levels.g, tile.shape), np.full(size, 0.05)
        exact, ideal = (
            mt.engine(name, tile).program(g).read(v).sum() for name in ("line", "ideal")
        )
        lost.append(100 * (1 - exact / ideal))
    axes.plot(sizes, lost, "o-", label=f"{ohms:g} Ω per segment")
axes.set(xlabel="rows = columns", ylabel="current lost to wires [%]", xscale="log", yscale="log")
axes.set_xticks(sizes, [str(size) for size in sizes])
axes.grid(alpha=0.25)
beside(axes, 3)
page

# %% [markdown]
# The loss grows with the square of the size: every segment carries the current of all cells behind
# it.
