"""The works that a run builds on, read from its record."""

__all__ = ["run_works"]

from collections.abc import Iterator, Mapping
from typing import Any

from ....data.catalogue import datasets
from ....data.literature.references import dois_in
from ....devices.equations.model_file import parse_model_text
from ....devices.pulses.published import published_facts, published_responses
from ....devices.spread.effects import Effects
from ....devices.works import model_works, provenance_works
from ..overview.summary import config_of

RULES: Mapping[str, tuple[str, ...]] = {
    "siamese": ("10.1007/s11571-024-10069-1",),
    "eapu": ("10.1038/s41467-025-66240-7",),
    "mixed precision": ("10.3389/fnins.2020.00406",),
    "sign": ("10.1109/WISP.2015.7139171",),
}
"""Update rules that are others', by name, and where they are from."""

DATA: Mapping[str, tuple[str, ...]] = {"cifar10": ("krizhevsky2009",)}
"""Works of data sets that have no DOI; the others' are in the catalogue."""

PCM = ("10.1038/s41467-020-16108-9", "10.1109/ICECS46596.2019.8964852")
CYCLES = ("10.3389/fnins.2022.941753",)


def run_works(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a DOI or a key of the literature, and what it is cited for."""
    config, versions = config_of(record), record["versions"]
    yield "memtwin", f"the simulation, version {versions['memtwin']}"
    device = record["device"]
    yield from model_works(parse_model_text(device["model"], "the record's model"))
    yield from provenance_works(device["name"], device["provenance"])
    response = str(config["device"].get("response"))
    if response in published_responses():
        yield from provenance_works(response, published_facts(response))
    rule = config["training"].get("rule", "siamese")
    for work in RULES.get(rule, ()):
        yield work, f"update rule {rule}"
    name = config["data"]["name"] if config["data"].get("path") is None else None
    entry = datasets().get(str(name))
    for work in (*DATA.get(str(name), ()), *dois_in(entry.doi if entry else "")):
        yield work, f"data {name}"
    laws = Effects.of(config["effects"]).tree()
    for effect, law in laws.items():
        kind = law.get("kind") if isinstance(law, Mapping) else None
        for work in {"pcm": PCM, "cycles": CYCLES}.get(str(kind), ()):
            yield work, f"effect {effect}"
    if versions["ngspice"] != "not used":
        yield "ngspice", f"circuits, version {versions['ngspice']}"
        yield "pyspice", "ngspice from Python"
    if versions.get("devices") == "compiled":
        yield "openvaf", "compiled devices"
    yield "numpy", "arrays"
    yield "scipy", "solvers and statistics"
    yield "sympy", "symbolic models"
