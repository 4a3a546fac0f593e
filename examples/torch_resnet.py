"""A small residual network in PyTorch, trained on MNIST with its weights on memristor tiles.

pip install "memtwin[torch]"
python examples/torch_resnet.py --images 6000 --epochs 2
"""

import argparse

import numpy as np
import torch
from torch import nn

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.pytorch import SiameseOptimizer, convert
from memtwin.training.twin.crossbar import Crossbar, MappingOptions


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


def resnet(channels: int = 8) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, channels, 5, stride=2, padding=2),
        nn.ReLU(),
        Residual(channels),
        nn.MaxPool2d(2),
        Residual(channels),
        nn.Flatten(),
        nn.Linear(channels * 49, 10),
    )


def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        hits = [
            (model(a).argmax(1) == b).sum() for a, b in zip(x.split(500), y.split(500), strict=True)
        ]
    return float(sum(hits)) / len(y)


def main() -> float:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    images = load_data("mnist")
    x, y = torch.from_numpy(images.x_train), torch.from_numpy(images.y_train)
    x, y = x[: arguments.images].reshape(-1, 1, 28, 28), y[: arguments.images]
    tests = torch.from_numpy(images.x_test[:2000]).reshape(-1, 1, 28, 28)
    answers = torch.from_numpy(images.y_test[:2000])

    levels = Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16))
    crossbar = Crossbar(Tile(64, 64, levels=levels), mapping=MappingOptions(clip=5.0))
    model = convert(resnet(), crossbar, Ideal)
    sgd = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    optimiser, loss = SiameseOptimizer(model, sgd, nominal_pricing(16)), nn.CrossEntropyLoss()
    for epoch in range(arguments.epochs):
        for chosen in torch.randperm(len(x)).split(50):
            optimiser.zero_grad()
            loss(model(x[chosen]), y[chosen]).backward()
            optimiser.step()
        writes = optimiser.ledger.close_epoch().writes
        devices = sum(each.writes.size for each in optimiser.ledger.devices)
        result = accuracy(model, tests, answers)
        print(f"epoch {epoch + 1}: {100 * result:.2f} %, {writes / devices:.2f} writes per device")
    return result


if __name__ == "__main__":
    main()
