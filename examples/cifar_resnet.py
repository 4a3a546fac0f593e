"""A small residual network on CIFAR-10: trained in float, then on devices with 16 levels by the Siamese rule.

pip install "memtwin[torch]"
python examples/cifar_resnet.py float      # continues where it was stopped, as the next does
python examples/cifar_resnet.py siamese    # from the float weights, on tiles with noisy devices
python examples/cifar_resnet.py wires      # test images through the wires of the tiles

Every epoch ends in a file of the folder ``--out``; whoever stops the script loses an epoch at most. The
network has 253,138 weights, less than a tenth of a per cent of them (normalisations) digital.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from memtwin.circuits.registry import make_engine
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.data.files import replacing
from memtwin.training.pytorch import Configured, configured

BATCH = 125
SMOOTHING = 0.1
CROP = 28  # pixels of the 32 that one training image shows; a test image shows all


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(x + self.second_norm(self.second(inner)))


def convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


def resnet() -> nn.Module:
    return nn.Sequential(
        *convolution(3, 24),
        *convolution(24, 40, 2),
        Residual(40),
        *convolution(40, 80, 2),
        Residual(80),
        *convolution(80, 96, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    )


class Images:
    """The images, and random crops and flips of those to train on."""

    def __init__(self, train: int | None, test: int | None) -> None:
        found = load_data("cifar10").chosen(train, test)
        x, y = found.x_train.reshape(-1, *found.shape), found.y_train
        self.mean, self.deviation = x.mean((0, 1, 2)), x.std((0, 1, 2))
        padded = np.pad(self._scaled(x), ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
        self.padded, self.labels = torch.from_numpy(padded), torch.from_numpy(y)
        tests = self._scaled(found.x_test.reshape(-1, *found.shape)).transpose(0, 3, 1, 2)
        self.tests = torch.from_numpy(tests).contiguous(memory_format=torch.channels_last)
        self.answers = torch.from_numpy(found.y_test)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return ((x - self.mean) / self.deviation).astype(np.float32)

    def batches(self, epoch: int):
        rng = np.random.default_rng((0, epoch))
        room = self.padded.shape[1] - CROP
        for chosen in np.array_split(
            rng.permutation(len(self.labels)), len(self.labels) // BATCH or 1
        ):
            at, flip = rng.integers(0, room + 1, (len(chosen), 2)), rng.random(len(chosen)) < 0.5
            crops = [
                self.padded[k, i : i + CROP, j : j + CROP]
                for k, (i, j) in zip(chosen.tolist(), at.tolist(), strict=True)
            ]
            x = torch.stack(crops).permute(0, 3, 1, 2)
            x[flip] = x[flip].flip(3)
            yield x, self.labels[chosen]


def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor, batch: int = 250) -> float:
    model.eval()
    with torch.no_grad():
        hits = [
            (model(a).argmax(1) == b).sum()
            for a, b in zip(x.split(batch), y.split(batch), strict=True)
        ]
    return float(sum(hits)) / len(y)


def keep(path: Path, **state) -> None:
    with replacing(path) as file:
        torch.save(state, file)


def train_float(images: Images, folder: Path, epochs: int, peak: float = 0.15) -> None:
    """Train by momentum, the rate rising for a fifth of the steps and falling to zero."""
    model = resnet().to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(model.parameters(), peak, 0.9, weight_decay=5e-4, nesterov=True)
    steps = epochs * max(len(images.labels) // BATCH, 1)
    rates = torch.optim.lr_scheduler.LambdaLR(
        sgd, lambda k: min((k + 1) / (0.2 * steps), (steps - k) / (0.8 * steps))
    )
    path, done, seconds = folder / "float.pt", 0, 0.0
    if path.exists():
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        sgd.load_state_dict(saved["sgd"])
        rates.load_state_dict(saved["rates"])
        done, seconds = saved["epochs"], saved["seconds"]
    loss = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    for epoch in range(done, epochs):
        started, total = time.process_time(), 0.0
        model.train()
        for x, y in images.batches(epoch):
            sgd.zero_grad()
            value = loss(model(x), y)
            value.backward()
            sgd.step()
            rates.step()
            total += float(value.detach()) * len(y)
        right = accuracy(model, images.tests, images.answers)
        seconds += time.process_time() - started
        keep(
            path,
            model=model.state_dict(),
            sgd=sgd.state_dict(),
            rates=rates.state_dict(),
            epochs=epoch + 1,
            seconds=seconds,
            accuracy=right,
        )
        loss_now = total / len(images.labels)
        print(
            f"float epoch {epoch + 1}: loss {loss_now:.3f}, {100 * right:.2f} % on test images,"
            f" {seconds / 60:.1f} CPU minutes so far",
            flush=True,
        )


def on_tiles(folder: Path) -> Configured:
    """Put the float network of the folder on tiles: the preset's devices, as ohmic ones, with noise."""
    if not (folder / "float.pt").exists():
        raise InputError(f"there are no float weights in {folder}: run the part 'float' first")
    model = resnet()
    model.load_state_dict(torch.load(folder / "float.pt")["model"])
    changes = [
        "training.engine=ideal",
        "device.linear=true",
        "device.levels=16",
        "effects.read=0.005",
        "mapping.clip=2.0",
    ]
    return configured(model, "balanced", changes=changes)


def train_siamese(images: Images, folder: Path, epochs: int, peak: float = 0.02) -> None:
    """Fine-tune on tiles, the rate falling to zero."""
    twin = on_tiles(folder)
    model = twin.model
    sgd = torch.optim.SGD(model.parameters(), peak, 0.9, weight_decay=5e-4, nesterov=True)
    optimiser = twin.optimiser(sgd)
    path, done, seconds = folder / "siamese.pt", 0, 0.0
    if path.exists():
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        done, seconds = saved["epochs"], saved["seconds"]
    loss = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    steps = epochs * max(len(images.labels) // BATCH, 1)
    step = done * max(len(images.labels) // BATCH, 1)
    for epoch in range(done, epochs):
        started = time.process_time()
        model.train()
        for x, y in images.batches(1000 + epoch):
            for group in sgd.param_groups:
                group["lr"] = peak * (1.0 - step / steps)
            optimiser.zero_grad()
            loss(model(x), y).backward()
            optimiser.step()
            step += 1
        right = accuracy(model, images.tests, images.answers)
        seconds += time.process_time() - started
        writes = optimiser.ledger.close_epoch().writes
        keep(
            path,
            model=model.state_dict(),
            optimiser=optimiser.state_dict(),
            epochs=epoch + 1,
            seconds=seconds,
            accuracy=right,
        )
        devices = sum(each.writes.size for each in optimiser.ledger.devices)
        print(
            f"siamese epoch {epoch + 1}: {100 * right:.2f} % on test images through noisy devices,"
            f" {writes / devices:.3f} writes per device, {seconds / 60:.1f} CPU minutes so far",
            flush=True,
        )


def read_through_wires(images: Images, folder: Path, count: int) -> None:
    """Read test images through the wires of the tiles, by the line solver, and without them."""
    if not (folder / "siamese.pt").exists():
        raise InputError(f"there is no twin in {folder}: run the part 'siamese' first")
    twin = on_tiles(folder)
    twin.optimiser()
    twin.model.load_state_dict(torch.load(folder / "siamese.pt")["model"])
    x, y = images.tests[:count], images.answers[:count]
    for name in ("ideal", "line"):
        for layer in twin.model.modules():
            if hasattr(layer, "matrix"):
                layer.matrix.use(partial(make_engine, name))
        print(f"{name}: {100 * accuracy(twin.model, x, y, 20):.2f} % of {count} test images")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("float", "siamese", "wires"))
    parser.add_argument("--out", type=Path, default=Path("cifar-resnet"))
    parser.add_argument("--epochs", type=int, help="14 in float, 3 on tiles when absent")
    parser.add_argument("--train", type=int, help="only so many images to train on")
    parser.add_argument("--test", type=int, help="only so many to test on; 100 through wires")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    images = Images(arguments.train, arguments.test)
    if arguments.part == "float":
        train_float(images, arguments.out, arguments.epochs or 14)
    elif arguments.part == "siamese":
        train_siamese(images, arguments.out, arguments.epochs or 3)
    else:
        read_through_wires(images, arguments.out, arguments.test or 100)


if __name__ == "__main__":
    main()
