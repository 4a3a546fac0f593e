# %% [markdown]
# # How well can levels be told apart?
#
# Four of sixteen levels in 8,000 cells with a programming error of 2 % of a level's step, 3 % of
# spread from device to device and 1 % of read noise (assumed figures): what is read, about what
# was asked for.

# %%
import numpy as np

import memtwin as mt
from memtwin.data.shown.pictures import figure
from memtwin.devices import plots
from memtwin.devices.spread.effects import Effects
from memtwin.devices.spread.noise import ReadNoise
from memtwin.devices.spread.programming import Programming

levels = mt.load_device("nbsto_32um").levels(16, 0.2)
rng = np.random.default_rng(0)
array = Effects(programming=Programming(0.02, g_ref=levels.step), read=ReadNoise(0.01))
targets = np.repeat(levels.g[::5], 2000)  # [S]
own = Programming(0.03, power=1.0).sample(targets, rng)  # what each device takes them for
page = figure(6, 4)
plots.array_spread(page.subplots(), targets, array.sample(own, 1.0, rng))
page
