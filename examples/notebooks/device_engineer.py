# %% [markdown]
# # From a sweep to a device in a circuit
#
# For device engineers. Ten minutes: read a measured loop, fit a compact model with honest errors,
# see what the data can't tell, and hand the device to ngspice. Cells run from top to bottom in any
# editor that knows `# %%` (VS Code, PyCharm, Spyder, Jupyter with jupytext); as a plain script it
# runs too.

# %%
from pathlib import Path

import numpy as np

import memtwin as mt

# %% [markdown]
# The loop here is simulated, with 2 % noise, so that nothing has to be downloaded. Put your own
# file in its place: any text file, workbook or MATLAB file with time, voltage and current; what
# was taken for what is kept in `sweep.meta`.

# %%
truth = mt.load_device("nbsto_32um")
t = np.linspace(0.0, 50.0, 300)  # [s]
v = np.interp(t, [0.0, 12.5, 37.5, 50.0], [0.0, 1.0, -2.0, 0.0])  # [V]
i = truth.simulate(t, v, x0=0.1).i  # [A]
i = i * (1 + 0.02 * np.random.default_rng(1).standard_normal(t.size))
np.savetxt("loop.csv", np.c_[t, v, i], delimiter=",", header="t [s],V [V],I [A]", comments="")

sweep = mt.read_sweep("loop.csv")
print(f"{len(sweep.t)} points, {sweep.v.min():.1f} to {sweep.v.max():.1f} V")
print(sweep.meta.get("read"))

# %% [markdown]
# Fit a model. Shape parameters that one loop can't settle are held here, as the fit's own report
# will advise; `"auto"` in place of the name compares all models on sweeps that the fit did not
# see.

# %%
held = {"x_p": 0.3, "x_n": 0.5, "alpha_p": 1.0, "alpha_n": 15.0, "v_p": 0.5}
fit = mt.fit(sweep, "yakopcic", fixed=held, starts=8, candidates=128)
print(fit)

# %% [markdown]
# One page with everything one should look at: the curve on both scales, the error in percent and
# in decades, the state, correlations, and how far one start could have been trusted.

# %%
fit.plot()

# %% [markdown]
# How far is it from the truth? Here it is known.

# %%
for name in ("r_s", "b_p", "b_n", "v_n"):
    error = fit.stderr[name]
    off = (fit.parameters[name] - truth.parameters[name]) / error
    print(
        f"{name:<4} {fit.parameters[name]:9.4g} ± {error:.2g}, {off:+.1f} standard errors from the truth"
    )

# %% [markdown]
# The device travels as one small file, with its errors, its provenance and the measured curve;
# from it come subcircuits.

# %%
fit.device("mine").save("mine.toml")
device = mt.load_device("mine.toml")
device.to_ngspice("mine.sub")
device.to_verilog_a("mine.va")
print("\n".join(Path("mine.sub").read_text().splitlines()[:12]))

# %% [markdown]
# Sixteen levels for an array, read at 50 mV, of a device ten times as large:

# %%
levels = device.scaled(10).levels(16, v_read=0.05)
print(levels)
