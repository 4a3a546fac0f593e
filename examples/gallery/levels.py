# %% [markdown]
# # How many levels does a network need?
#
# The same network on the digits with devices of 2 to 16 levels; wires are left out, so that only
# the levels matter.

# %%
import memtwin as mt
from memtwin.data.shown.pictures import BLUE, figure, plain_ticks

data = mt.load_data("digits")
device = mt.load_device("nbsto_32um").scaled(10)
counts, right = (2, 4, 8, 16), []
for count in counts:
    tile = mt.Tile(32, 32, levels=device.levels(count, v_read=0.05))
    twin = mt.Twin(mt.mlp(64, 32, 10), tile, engine="ideal", seed=0)
    twin.fit(data, epochs=3)
    right.append(100 * twin.score(data))
    print(f"{count:>3} levels: {right[-1]:.1f} %")

page = figure(6, 4)
axes = page.subplots()
axes.plot(counts, right, "o-", color=BLUE)
axes.set(xlabel="levels per device", ylabel="test accuracy after 3 epochs [%]", xscale="log")
plain_ticks(axes.xaxis, counts)
axes.grid(alpha=0.25)
page

# %% [markdown]
# One seed, three epochs: a first look. `memtwin compare` and `--seed` say how much of it is chance.
