# %% [markdown]
# # What wires take from an array
#
# For circuit designers. Ten minutes: a tile with wires, drivers and sense inputs, read by the
# ideal product, by a surrogate and by ngspice; how the loss grows with the tile; what happens
# inside; a deck for any SPICE.

# %%
import numpy as np

import memtwin as mt
from memtwin.data.shown.pictures import PALETTE, beside, figure, plain_ticks

# %% [markdown]
# A tile is rows × columns of cells at the crossings of word and bit lines. `r_row` and `r_col` are
# ohms per segment.

# %%
device = mt.load_device("nbsto_32um").scaled(10)
levels = device.levels(16, v_read=0.05)
tile = mt.Tile(32, 32, r_row=5.0, r_col=5.0, levels=levels)
print(tile)
tile.plot()

# %% [markdown]
# The same conductances through three engines. `ideal` knows the device's curve and no wires;
# `spice` is ngspice; the surrogate is what training uses, and says how far it is from ngspice.

# %%
rng = np.random.default_rng(0)
g = rng.choice(levels.g, tile.shape)  # [S]
v = rng.uniform(0.0, 0.05, 32)  # [V]
reads = {name: mt.engine(name, tile).program(g).read(v) for name in ("ideal", "surrogate", "spice")}
truth = reads["spice"]
for name, current in reads.items():
    off = 100 * np.sqrt(np.mean((current - truth) ** 2)) / truth.max()
    print(
        f"{name:<10} mean {1e6 * current.mean():.3f} µA, {off:.4f} % of full scale from ngspice (rms)"
    )

# %% [markdown]
# How the loss grows with the tile and with the wires. The line solver is exact to a stated
# tolerance and quick, so that it stands in for ngspice here.

# %%
sizes = (8, 16, 32, 64)
page = figure(6, 4)
axes = page.subplots()
for ohms, colour in zip((0.5, 2.0, 5.0), PALETTE, strict=False):
    lost = []
    for size in sizes:
        one = mt.Tile(size, size, r_row=ohms, r_col=ohms, levels=levels)
        g_one, v_one = rng.choice(levels.g, one.shape), np.full(size, 0.05)
        exact, ideal = (
            mt.engine(name, one).program(g_one).read(v_one) for name in ("line", "ideal")
        )
        lost.append(100 * (1 - exact.sum() / ideal.sum()))
    axes.plot(sizes, lost, "o-", color=colour, label=f"{ohms:g} Ω per segment")
axes.set(xlabel="rows = columns", ylabel="current lost to wires [%]", xscale="log", yscale="log")
plain_ticks(axes.xaxis, sizes)
plain_ticks(axes.yaxis, (2, 5, 10, 20))
axes.grid(alpha=0.25)
beside(axes, 3)
page

# %% [markdown]
# Inside the tile: where the voltage goes, and the power in the cells.

# %%
inside = mt.engine("nodal", tile).program(g).fields(v[None])
print(
    f"worst drop {1e3 * inside.worst_drop.max():.2f} mV of 50; {1e6 * inside.power.sum():.3f} µW in the cells"
)

# %% [markdown]
# A transistor in series with every device costs current, too:

# %%
cell = mt.Cell(device, v_read=0.05, access=mt.Transistor(v_gate=2.0))
gated = mt.Tile(32, 32, r_row=5.0, r_col=5.0, cell=cell)
with_gate = mt.engine("nodal", gated).program(g).read(v)
print(f"behind transistors {100 * (1 - with_gate.sum() / truth.sum()):.2f} % less current")

# %% [markdown]
# `memtwin netlist tile.cir --device nbsto_32um` writes such a tile as a deck for any SPICE.
