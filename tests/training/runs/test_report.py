"""What stands on the page of a run, and of several: held to the record that it is made from."""

import ast
import base64
import copy
import csv
import gzip
import inspect
import itertools
import json
import re
import textwrap
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from matplotlib.figure import Figure

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Selector, Transistor
from memtwin.circuits.array.parasitics import Parasitics
from memtwin.circuits.array.terminals import Terminals
from memtwin.data.errors import InputError
from memtwin.devices.device import Device
from memtwin.devices.models import models
from memtwin.devices.spread.effects import Effects
from memtwin.training.runs.config import RunConfig, load_config
from memtwin.training.runs.record import device_tree
from memtwin.training.runs.report import figures, panels
from memtwin.training.runs.report.comparison import differences, write_comparison
from memtwin.training.runs.report.keys import UNITS, configuration_rows
from memtwin.training.runs.report.page import write_report
from memtwin.training.runs.run import run

QUICK = [
    "images.train=200",
    "images.test=40",
    "network.hidden=[6]",
    "training.engine=ideal",
    "training.epochs=2",
    "validation.engine=nodal",
    "validation.images=5",
    "audit.every=0",
    "tile.rows=16",
    "tile.cols=16",
]


class Page(HTMLParser):
    """What a browser would find on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: dict[str, str] = {}
        self.hovers: list[dict] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag not in ("meta", "br", "link", "img", "path", "use", "rect", "image", "circle"):
            self.open.append(tag)
        if "id" in found:
            self.ids.append(found["id"])
        if "download" in found:
            self.links[found["download"]] = found["href"]
        if "data-hover" in found:
            self.hovers.append(json.loads(found["data-hover"]))

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


def table_of(page: Page, name: str) -> list[list[str]]:
    """Return the rows that the link to a figure's data gives."""
    name = name if name in page.links else f"{name}.gz"
    kind, _, body = page.links[name].partition(",")
    text = gzip.decompress(base64.b64decode(body)).decode() if "gzip" in kind else unquote(body)
    return list(csv.reader(text.splitlines()))


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return run(load_config("nbsto", QUICK), tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="module")
def text(record, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    return write_report(record, path).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_is_whole_and_every_id_is_one_of_a_kind(text, page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    wanted = re.findall(r'<a href="#([\w-]+)"', text)
    assert len(wanted) >= 6
    assert set(wanted) <= set(page.ids)
    assert not re.search(r'(src|href)="(?!#|data:)', text)
    for used in re.findall(r"url\(#([\w-]+)\)|xlink:href=\"#([\w-]+)\"", text):
        assert (used[0] or used[1]) in page.ids


def test_every_figure_says_what_is_to_be_seen(text):
    svgs = re.findall(r"<svg .*?</svg>", text, re.DOTALL)
    assert len(svgs) == 9
    for svg in svgs:
        names = re.search(r'aria-labelledby="(\S+) (\S+)"', svg)
        assert f'<title id="{names[1]}">' in svg
        said = re.search(rf'<desc id="{names[2]}">(.*?)</desc>', svg)[1]
        assert len(said) > 20
        assert figures.INK not in svg  # the page's own ink, light or dark
        assert "currentColor" in svg


def test_the_data_of_every_figure_are_those_of_the_record(record, page):
    assert len(page.links) == 9
    head, *rows = table_of(page, "accuracy.csv")
    assert head[0] == "epoch"
    told = np.array(rows, float)
    np.testing.assert_allclose(told[:, 1], 100 * record["epochs"]["test_accuracy"], rtol=1e-5)
    np.testing.assert_allclose(told[:, 2], 100 * record["epochs"]["float_accuracy"], rtol=1e-5)
    writes = np.array(table_of(page, "writes.csv")[1:], float)
    np.testing.assert_array_equal(writes[:, 1], record["epochs"]["writes"])
    for name, layer in record["layers"].items():
        place = name.replace("_", "-")
        g = np.array(table_of(page, f"conductances-{place}.csv"), float)
        np.testing.assert_allclose(g, layer["g"], rtol=1e-5)
        counts = np.array(table_of(page, f"writes-{place}.csv"), int)
        np.testing.assert_array_equal(counts, layer["writes"])


def test_long_data_are_packed_and_come_out_whole():
    values = np.random.default_rng(0).random((200, 300))
    name, address = figures._data("map", {"g": values})
    assert name == "map.csv.gz"
    rows = csv.reader(
        gzip.decompress(base64.b64decode(address.partition(",")[2])).decode().splitlines()
    )
    np.testing.assert_allclose(np.array(list(rows), float), values, rtol=1e-5)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_point_is_found_where_the_picture_has_it(scale):
    """What the page's script works out from the axes, against matplotlib's own transformation."""
    x, y = np.array([1.0, 3.0, 10.0]), np.array([2.0, 5.0, 70.0])

    def panel(axes):
        axes.plot(x, y)
        axes.set_xscale(scale)
        axes.set_yscale(scale)
        kept.append(axes)
        return figures.Panel("t", "a", {"x": x, "y": y}, series=(figures.Series("s", "x", "y"),))

    kept: list = []
    about = json.loads(figures.draw("name", panel).hover)
    shown = kept[0].transData.transform(np.c_[x, y]) / kept[0].figure.bbox.size
    turn = np.log10 if scale == "log" else np.asarray
    (x0, y0, x1, y1), lows = about["box"], [turn(np.array(about[k])) for k in "xy"]
    u = x0 + (turn(x) - lows[0][0]) / np.ptp(lows[0]) * (x1 - x0)
    w = y1 - (turn(y) - lows[1][0]) / np.ptp(lows[1]) * (y1 - y0)
    np.testing.assert_allclose(np.c_[u, 1 - w], shown, atol=1e-4)


def test_every_hover_knows_columns_that_are_there(page):
    assert len(page.hovers) >= 7
    for about in page.hovers:
        assert about["series"]
        for _, i, j in about["series"]:
            assert min(i, j) >= 0
        assert 0 <= about["box"][0] < about["box"][2] <= 1
        assert 0 <= about["box"][1] < about["box"][3] <= 1


def test_accuracies_have_intervals_and_parameters_units(record, text):
    plain = unescape(re.sub(r"<[^>]+>", "|", text))
    summary = record["summary"]
    for name in ("memristor", "float", "spice"):
        low, high = (summary[f"{name}_accuracy_{end}_percent"] for end in ("low", "high"))
        assert f"95 %: {low:.2f} % to {high:.2f} %" in plain
    for row in models["yakopcic"].parameters:
        cells = re.search(rf'<th scope="row">{row.name}</th><td>([^<]*)</td>', text)
        told = unescape(cells[1]).removesuffix(" (fixed)")
        assert (
            told[-1].isdigit() if row.unit == "1" else told.endswith(row.unit.replace("ohm", "Ω"))
        )


def test_names_from_files_are_shown_as_text(record, tmp_path):
    forged = copy.deepcopy(record)
    forged["device"]["name"] = "<script>alert(1)</script>"
    page = write_report(forged, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_device_of_ones_own_brings_its_measured_curve(record):
    t = np.linspace(0.0, 4.0, 41)
    v = np.sin(np.pi * t / 2.0)
    kept = {"measured_t": t.tolist(), "measured_v": v.tolist(), "measured_i": (1e-5 * v).tolist()}
    device = Device("mine", models["yakopcic"], record["device"]["parameters"], meta=kept)
    own = {**record, "device": {**device_tree(device), "model": "yakopcic"}}
    panel = panels.iv(Figure().subplots(), own)
    np.testing.assert_allclose(panel.columns["current, measured [A]"], 1e-5 * v)
    assert "over the measured sweep" in panel.caption


def test_runs_are_compared_by_what_differs(record, tmp_path):
    other = copy.deepcopy(record)
    config = json.loads(other["config"])
    config["seed"], config["training"]["epochs"] = 7, 3
    other["config"] = json.dumps(config)
    other["epochs"]["test_accuracy"] = np.append(other["epochs"]["test_accuracy"], 0.5)
    records = {"runs/a": record, "runs/b": other}
    assert differences(records) == {"seed": [0, 7], "training.epochs": [2, 3]}
    text = write_comparison(records, tmp_path / "both.html").read_text(encoding="utf-8")
    page = Page(text)
    head, *rows = table_of(page, "accuracy.csv")
    assert head[1:] == ["runs/a: test accuracy [%]", "runs/b: test accuracy [%]"]
    assert [row[2] for row in rows][-1] == "50"
    assert rows[-1][1] == ""
    assert '<th scope="row">training.epochs</th><td>2</td><td>3</td>' in text
    with pytest.raises(InputError, match="two runs"):
        write_comparison({"a": record}, tmp_path / "one.html")
    numbers = copy.deepcopy(record)
    numbers["summary"] |= {"score": "r2", "memristor_r2": 0.5, "float_r2": 0.6, "spice_r2": 0.4}
    mixed = write_comparison({"a": record, "b": numbers}, tmp_path / "mixed.html")
    page = Page(mixed.read_text(encoding="utf-8"))
    assert table_of(page, "accuracy.csv")[0][1:] == ["a: test accuracy [%]"]
    assert table_of(page, "r2.csv")[0][1:] == ["b: R²"]


def described(kind: type) -> dict[str, str]:
    """Return the units in brackets at the end of the first sentence about every field of a class."""
    found = {}
    for part in kind.__mro__:
        if not part.__module__.startswith("memtwin"):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(part))).body
        for item, text in itertools.pairwise(tree.body):
            if isinstance(item, ast.AnnAssign) and isinstance(text, ast.Expr):
                said = re.search(
                    r"\[(\S+|% of full scale)\](?=[.,;:])", ast.literal_eval(text.value)
                )
                if said:
                    found.setdefault(item.target.id, said[1].split()[0])
    return found


def test_keys_have_the_units_that_their_descriptions_name():
    classes = {name: field.annotation for name, field in RunConfig.model_fields.items()}
    kept = {"": RunConfig, "effects.": Effects}
    kept |= {f"{name}.": kind for name, kind in classes.items() if inspect.isclass(kind)}
    kept |= {"tile.access.": Transistor, "tile.amplifier.": Amplifier}
    kept |= {"tile.terminals.": Terminals, "tile.parasitics.": Parasitics}
    stated = {
        f"{at}{key}": unit for at, kind in kept.items() for key, unit in described(kind).items()
    }
    stated |= {f"tile.access.{key}": unit for key, unit in described(Selector).items()}
    symbols = {"ohm": "Ω", "A/V^2": "A/V²", "byte": "B"}
    in_words = {"effects.seconds": "s", "training.reverify": "s", "worker_memory": "B"}
    assert {key: symbols.get(unit, unit) for key, unit in stated.items()} | in_words == UNITS


def test_keys_are_shown_in_their_units():
    rows = dict(configuration_rows(load_config("demo").model_dump(mode="json")))
    assert rows["device.g_max"] == "130 µS"
    assert rows["tile.r_row"] == "2.5 Ω"
    assert rows["audit.bar_percent"] == "0.5 %"
    assert rows["hardware.adc_area"] == "1.2e-09 m²"
    assert rows["device.v_set"] == "–"
    assert rows["training.epochs"] == "20"
