"""A network on memristor arrays, evaluated with numpy alone.

    python evaluate.py inputs.npy             # one answer a line
    python evaluate.py inputs.npy outputs.npy # what the last layer gives, (n, outputs)

``weights.npz`` beside this file holds the conductances of every matrix [S], as they sit on its tiles:
``g0``, ``g1``, ... of shape (row blocks, column blocks, tile rows, tile columns), where neighbouring
columns are the plus and the minus device of a weight; ``w0``, ... are weights of digital layers, the bias
in the last row. ``network.json`` says the rest: layers, read
voltage, weight per ampere, gains, converters, and how inputs are scaled. Devices are taken as ohmic, and
wires as without resistance.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 500


class Network:
    """What ``network.json`` and ``weights.npz`` of a folder describe."""

    def __init__(self, folder: str | Path) -> None:
        home = Path(folder)
        self.facts: dict[str, Any] = json.loads((home / "network.json").read_text("utf-8"))
        with np.load(home / "weights.npz", allow_pickle=False) as stored:
            self.arrays = {name: stored[name] for name in stored.files}

    def outputs(self, x: Any) -> Any:
        """Return what the last layer gives for inputs as the network was trained on, before they are
        scaled, (n, ...) to (n, outputs).
        """
        given = np.asarray(x)
        shape = self.facts["shape"]
        size = int(np.prod(shape))
        if given.ndim < 2 or int(np.prod(given.shape[1:])) != size:
            raise ValueError(f"expected inputs of {size} numbers each, got {given.shape}")
        scale = self.facts["scaling"]
        shaped = given.reshape(len(given), *self.facts["sample"]).astype(float)
        scaled = (shaped - self.arrays[scale + "mean"]) / self.arrays[scale + "deviation"]
        images = scaled.astype(np.float32).reshape(len(given), *shape)
        parts = [self._forward(images[k : k + BATCH]) for k in range(0, len(images), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    def predict(self, x: Any) -> Any:
        """Return the class of every input by its name, (n,), or the numbers, (n, targets)."""
        found = self.outputs(x)
        if "target_mean" in self.arrays:
            return found * self.arrays["target_deviation"] + self.arrays["target_mean"]
        best = found.argmax(axis=1)
        names = self.facts["names"]
        return np.array(names)[best] if names else best

    def _forward(self, x: Any) -> Any:
        self._matrix = self._norm = 0
        return self._through(self.facts["layers"], x)

    def _through(self, layers: list[dict[str, Any]], x: Any) -> Any:
        for layer in layers:
            kind = layer["kind"]
            if kind == "residual":
                x = x + self._through(layer["layers"], x)
            elif kind == "dense":
                x = self._product(_with_ones(x.reshape(len(x), -1)))
            elif kind == "conv":
                x = self._convolved(layer, x)
            elif kind == "batch_norm":
                factor, offset, mean, variance = self.arrays[f"norm{self._norm}"]
                self._norm += 1
                x = (x - mean) / np.sqrt(variance + np.float32(1e-5)) * factor + offset
            elif kind == "max_pool":
                x = _blocks(x, layer["size"]).max(axis=(2, 4))
            elif kind == "average_pool":
                x = _blocks(x, layer["size"]).mean(axis=(2, 4))
            elif kind == "flatten":
                x = x.reshape(len(x), -1)
            elif kind != "dropout":
                x = FUNCTIONS[kind](x)
        return x

    def _convolved(self, layer: dict[str, Any], x: Any) -> Any:
        p, k, s = layer["padding"], layer["kernel"], layer["stride"]
        x = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
        outputs = []
        for part in np.split(x, layer["groups"], axis=3):
            windows = np.lib.stride_tricks.sliding_window_view(part, (k, k), axis=(1, 2))
            patches = windows[:, ::s, ::s].transpose(0, 1, 2, 4, 5, 3)
            n, height, width = patches.shape[:3]
            y = self._product(_with_ones(patches.reshape(n * height * width, -1)))
            outputs.append(y.reshape(n, height, width, -1))
        return np.concatenate(outputs, axis=3)

    def _product(self, a: Any) -> Any:
        """Return what the tiles of the next matrix make of vectors (n, rows)."""
        k, self._matrix = self._matrix, self._matrix + 1
        facts = self.facts["matrices"][k]
        if facts.get("digital"):
            return (a @ self.arrays[f"w{k}"]).astype(np.float32)
        g = self.arrays[f"g{k}"]
        x = a[:, : facts["rows"]]
        scale = np.abs(x).max(axis=1, keepdims=True)
        scale[scale <= 0.0] = 1.0
        y: Any = 0.0
        for weight, part in _parts(facts["signed"], x, scale):
            for share, v in _driven(facts, part, scale):
                y = y + weight * share * self._read(k, facts, g, v)
        y = y * (scale * np.float32(facts["weight_per_ampere"]))
        if f"scale{k}" in self.arrays:
            y = y * self.arrays[f"scale{k}"]
        if f"bias{k}" in self.arrays:
            y = y + self.arrays[f"bias{k}"]
        return y.astype(np.float32)

    def _read(self, k: int, facts: dict[str, Any], g: Any, v: Any) -> Any:
        """Return differences of currents [A] for row voltages (n, rows) [V], (n, cols)."""
        blocks, rows = len(g), g.shape[2]
        padded = np.zeros((len(v), blocks * rows), np.float32)
        padded[:, : v.shape[1]] = v
        split = padded.reshape(len(v), blocks, 1, rows).transpose(1, 2, 0, 3)
        i = split @ g
        if facts["adc_bits"] is not None:
            full = facts["full_scale"]
            step = 2.0 * full / (2 ** facts["adc_bits"] - 1)
            i = np.rint((np.clip(i, -full, full) + full) / step) * step - full
        pairs, gain = i[..., 0::2] - i[..., 1::2], self.arrays[f"gain{k}"]
        if gain.ndim == 4:
            pairs = pairs * gain
        y = pairs.sum(axis=0).transpose(1, 0, 2).reshape(len(v), -1)[:, : facts["cols"]]
        return y if gain.ndim == 4 else y * gain


def _parts(signed: str, x: Any, scale: Any) -> list[tuple[float, Any]]:
    """Return the inputs of one sign that are driven together, with their weights in the sum."""
    if signed == "bipolar" or not x.size or x.min() >= 0.0:
        return [(1.0, x)]
    if signed == "two phases":
        return [(1.0, np.maximum(x, 0.0)), (-1.0, np.maximum(-x, 0.0))]
    return [(2.0, 0.5 * (x + scale)), (-2.0, 0.5 * np.broadcast_to(scale, x.shape))]


def _driven(facts: dict[str, Any], x: Any, scale: Any) -> list[tuple[float, Any]]:
    """Return the row voltages [V] of every read, with their weights in the sum."""
    bits, v_read = facts["dac_bits"], np.float32(facts["v_read"])
    if bits is None:
        return [(1.0, x * (v_read / scale))]
    steps = 2**bits - 1
    codes = np.rint(x * (steps / scale))
    if not facts["sliced"]:
        return [(1.0, codes * (v_read / steps))]
    size, sign = np.abs(codes).astype(np.int64), np.sign(codes)
    return [(2**k / steps, ((size >> k) & 1) * sign * v_read) for k in range(bits)]


def _blocks(x: Any, size: int) -> Any:
    """Return images (n, height, width, channels) in blocks, (n, rows, size, columns, size, channels)."""
    n, height, width, channels = x.shape
    rows, columns = height // size, width // size
    kept = x[:, : rows * size, : columns * size]
    return kept.reshape(n, rows, size, columns, size, channels)


def _with_ones(x: Any) -> Any:
    return np.hstack([x, np.ones((len(x), 1), np.float32)])


FUNCTIONS: dict[str, Any] = {
    "relu": lambda x: np.maximum(x, np.float32(0.0)),
    "tanh": np.tanh,
    "sigmoid": lambda x: np.float32(0.5) * (np.float32(1.0) + np.tanh(np.float32(0.5) * x)),
}


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    network, inputs = Network(Path(__file__).parent), np.load(sys.argv[1])
    if len(sys.argv) == 3:
        np.save(sys.argv[2], network.outputs(inputs))
    else:
        print("\n".join(map(str, network.predict(inputs))))
