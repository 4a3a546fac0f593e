"""Write-read records of pulses: how they are read, and compact models that are fitted to them."""

import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.cli.main import app
from memtwin.data.errors import InputError
from memtwin.data.importers.pulsed.records import pulse_sweep
from memtwin.data.importers.readers import read_measurement
from memtwin.data.measurement import Sweep, load_measurement, save_measurement
from memtwin.devices.device import Device
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.loss import Loss
from memtwin.devices.models import models
from memtwin.devices.pulses.trapezoid import apply_pulse

TRUTH = {"k_set": 3e5, "k_reset": 3e5, "r_on": 1e3, "r_off": 1e4, "v_set": 0.6, "v_reset": 0.5}
DEVICE = Device("d", models["vteam"], TRUTH)
HELD = {"a_set": DEVICE.parameters["a_set"], "a_reset": DEVICE.parameters["a_reset"]}
V_READ = 0.1


def record(v, width, x0=0.1):
    """Return conductances after each pulse, and before the first: pulse by pulse, by other code than a fit's."""
    states = [x0]
    for one, w in zip(v, np.broadcast_to(width, np.shape(v)), strict=True):
        states.append(float(apply_pulse(DEVICE, states[-1], one, float(w), edge=1e-3 * float(w)).x))
    return DEVICE.conductance(np.array(states), V_READ)


def rising():
    """Amplitudes that rise, then widths that do, both ways."""
    v = np.concatenate(
        [np.linspace(0.7, 1.2, 20), np.linspace(-0.6, -1.1, 20), [1.0] * 15, [-0.9] * 15]
    )
    w = np.concatenate(
        [np.full(40, 1e-6), np.geomspace(1e-7, 1e-5, 15), np.geomspace(1e-7, 1e-5, 15)]
    )
    return v, w


def written(tmp_path, head, columns, name="pulses.csv"):
    np.savetxt(tmp_path / name, np.column_stack(columns), delimiter=",", header=head, comments="")
    return tmp_path / name


@pytest.mark.parametrize(
    ("head", "scales"),
    [
        ("Pulse amplitude (V),Pulse width (us),G (uS)", (1.0, 1e6, 1e6)),
        ("V_pulse [V],t_pulse [ns],R_read [kohm]", (1.0, 1e9, None)),
        ("Vwrite (mV),PW (s),I_read (uA)", (1e3, 1.0, 1e6 * V_READ)),
        ("#,amplitude (V),width (s),conductance after (S)", None),
    ],
)
def test_records_are_known_by_their_names(tmp_path, head, scales):
    v, w = rising()
    g = record(v, w)[1:]
    if scales is None:
        columns = (np.arange(len(v)), v, w, g)
    else:
        read = 1e-3 / g if scales[2] is None else scales[2] * g
        columns = (scales[0] * v, scales[1] * w, read)
    path = written(tmp_path, head, columns)
    (found,) = read_measurement(path, v_read=V_READ)
    assert isinstance(found, Sweep)
    assert found.pulsed
    assert found.kept.sum() == len(v)
    np.testing.assert_allclose(found.i[found.kept], V_READ * g, rtol=1e-6)
    np.testing.assert_allclose(found.v[1::3], v, rtol=1e-9)
    np.testing.assert_allclose(np.diff(found.t)[1::3], w, rtol=1e-6)
    assert "width" in found.meta["read"]
    again = load_measurement(save_measurement(found, tmp_path / "r.h5"))
    assert again.digest == found.digest
    assert again.pulsed


def test_what_is_missing_names_its_option(tmp_path):
    v, w = rising()
    g = 1e6 * record(v, w)[1:]
    path = written(tmp_path, "Pulse amplitude (V),Pulse width (us),G (uS)", (v, 1e6 * w, g))
    with pytest.raises(InputError, match="--v-read"):
        read_measurement(path)
    path = written(tmp_path, "Pulse amplitude (V),G (uS)", (v, g))
    with pytest.raises(InputError, match="--pulse-width"):
        read_measurement(path, kind="pulses", v_read=0.1)
    (found,) = read_measurement(path, kind="pulses", v_read=0.1, pulse_width=1e-6)
    np.testing.assert_allclose(np.diff(found.t)[1::3], 1e-6, rtol=1e-6)
    with pytest.raises(InputError, match="above 0"):
        pulse_sweep("p", v, 0.0 * w, g, 0.1)


def test_cells_are_records_of_their_own(tmp_path):
    v, w = rising()
    g = 1e6 * record(v, w)[1:]
    cell = np.repeat([1, 2], len(v))
    rows = [np.tile(a, 2) for a in (v, 1e6 * w, g)]
    path = written(tmp_path, "cell,V_pulse (V),width (us),G_read (uS)", (cell, *rows))
    assert len(read_measurement(path, v_read=V_READ)) == 2


def loop():
    t = np.linspace(0.0, 1e-4, 121)
    v = 1.0 * np.sin(2e4 * np.pi * t)
    return Sweep("loop", t, v, DEVICE.simulate(t, v, 0.2).i, np.zeros(len(t), bool))


def test_a_model_comes_back_from_pulses_and_a_loop_together():
    v, w = rising()
    g = record(v, w)
    rng = np.random.default_rng(0)
    i = V_READ * g[1:] * (1.0 + 0.01 * rng.standard_normal(len(v)))
    measured = pulse_sweep("pulses", v, w, i, V_READ, before=V_READ * g[0])
    clean = loop()
    noisy = Sweep(
        "loop",
        clean.t,
        clean.v,
        clean.i * (1.0 + 0.01 * rng.standard_normal(len(clean.t))),
        clean.censored,
    )
    start = {name: 1.1 * TRUTH[name] for name in TRUTH}
    for sweeps in ([measured], [noisy, measured]):
        found = fit(
            DEVICE.model,
            sweeps,
            fixed=HELD,
            series=False,
            loss=Loss("error", relative=0.01, floor=1e-8),
            start={**start, f"x0_{len(sweeps)}": 0.1},
            starts=1,
            candidates=1,
        )
        for name in found.names:
            if name in TRUTH and name not in found.unidentified:
                off = abs(found.parameters[name] - TRUTH[name])
                assert off <= 4.0 * found.stderr[name] + 2e-3 * TRUTH[name], name
        assert found.curves[-1].quality.relative_rms_percent < 2.0
    assert {"v_reset", "r_on"} <= set(found.names) - set(found.unidentified)
    device = found.device("both")
    assert device.meta["v_max"] == pytest.approx(1.2)
    assert device.meta["sweep_rate"] < 1e6  # the loop's, not that of a pulse's edge
    found.plot()


def test_the_command_line_fits_pulses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    v, w = rising()
    path = written(
        tmp_path,
        "V_pulse (V),width (us),G_read (uS)",
        (v, 1e6 * w, 1e6 * record(v, w)[1:]),
    )
    held = ("a_set=1", "a_reset=1", "v_set=0.6", "v_reset=0.5", "k_set=3e5", "k_reset=3e5")
    fixed = [word for pair in held for word in ("--fix", pair)]
    wanted = ["fit", str(path), "--v-read", "0.1", "--model", "vteam", "--no-series", *fixed]
    wanted += ["--starts", "1", "--candidates", "8", "--workers", "1", "--device", "p.toml"]
    wanted += ["--errors", "bootstrap", "--draws", "20", "--plot", "p.png"]
    result = CliRunner().invoke(app, wanted)
    assert result.exit_code == 0, result.output
    assert "errors by bootstrap of blocks" in result.output
    assert (tmp_path / "p.toml").is_file()
    page = CliRunner().invoke(app, ["datasheet", "p.toml", "p.html", "--levels", "4"])
    assert page.exit_code == 0, page.output
    text = (tmp_path / "p.html").read_text()
    for word in ("<svg", "prefers-color-scheme", "Levels", "Writing", "r_on"):
        assert word in text
