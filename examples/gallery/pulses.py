# %% [markdown]
# # How fast does a device switch at which voltage?
#
# The shipped Nb:SrTiO3 device under a constant voltage, from its reset state. It was fitted to
# sweeps of about 50 s, so that times far from seconds are what the fit says, not what was
# measured.

# %%
import numpy as np

import memtwin as mt
from memtwin.data.shown.pictures import figure, level_scale, shades

device = mt.load_device("nbsto_32um")
t = np.linspace(0.0, 10.0, 400)  # [s]
voltages = np.linspace(0.6, 1.0, 5)  # [V]
page = figure(6, 4)
axes = page.subplots()
for volts, shade in zip(voltages, shades(len(voltages)), strict=True):
    trace = device.simulate(t, np.full_like(t, volts), x0=0.1)
    axes.plot(trace.t, trace.x, color=shade)
level_scale(axes, voltages[0], voltages[-1], "voltage [V]")
axes.set(xlabel="time under voltage [s]", ylabel="state x")
axes.grid(alpha=0.25)
page
