"""``memtwin models`` and ``memtwin cite``: what there is, and whom it is owed to."""

import json
import re

import pytest
from typer.testing import CliRunner

from memtwin.cli.main import app
from memtwin.data.errors import InputError
from memtwin.data.literature.references import cited, dois_in, find_reference
from memtwin.devices.device import load_device
from memtwin.devices.models import models
from memtwin.training.rules.registry import RULES
from memtwin.training.runs.config import load_config
from memtwin.training.runs.record import device_tree
from memtwin.training.runs.report.works import RULES as RULE_WORKS
from memtwin.training.runs.report.works import run_works

runner = CliRunner()


def ran(*arguments, code=0):
    result = runner.invoke(app, list(map(str, arguments)))
    said = " ".join(result.stderr.split())
    assert result.exit_code == code, said
    assert "Traceback" not in said
    return said if code else result.stdout


def keys(*arguments):
    return [one["key"] for one in json.loads(ran(*arguments, "--json"))["works"]]


def test_list_has_every_model_and_its_devices():
    listed = json.loads(ran("models", "list", "--json"))
    assert list(listed) == list(models)
    assert "stanford_hfox" in listed["stanford"]["devices"]
    assert not listed["sinh"]["dynamic"]
    assert "stanford_hfox" in "".join(ran("models", "list").split())


def test_show_has_equations_and_table():
    shown = json.loads(ran("models", "show", "stanford", "--json"))
    assert shown["parameters"]["e_a"]["unit"] == "eV"
    assert "limsinh" in shown["current"]
    assert shown["doi"] == ["10.1109/TED.2016.2545412"]
    assert "activation energy" in ran("models", "show", "stanford")
    assert "did you mean 'stanford'" in ran("models", "show", "stanfrd", code=2)


def test_cite_names_model_and_device_once_each():
    assert keys("models", "cite", "vteam", "vteam_asic2") == ["kvatinsky2015"]
    assert keys("models", "cite", "drift_biolek2009") == ["strukov2008", "biolek2009"]
    assert keys("cite", "nbsto_32um") == ["yakopcic2013", "tiotto2021"]
    assert keys("models", "cite", "sinh") == []


def test_a_model_file_of_ones_own_is_cited_by_its_doi(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ncurrent = "x*v"\ndoi = "10.1234/own.5"\n')
    (work,) = json.loads(ran("models", "cite", path, "--json"))["works"]
    assert work["doi"] == "10.1234/own.5"
    assert work["for"] == ["model mine"]


def test_bibtex_is_written_whole(tmp_path):
    path = tmp_path / "works.bib"
    ran("models", "cite", "yakopcic2020", "knowm", "--bibtex", "--out", path)
    entries = re.findall(r"^@(\w+)\{(\w+),$", path.read_text(), re.MULTILINE)
    assert entries == [
        ("article", "yakopcic2020"),
        ("article", "yakopcic2013"),
        ("article", "nugent2014"),
    ]


SMALL = ["images.train=200", "images.test=40", "network.hidden=[8]", "tile.rows=16",
         "tile.cols=16", "training.engine=ideal", "validation.engine=ideal",
         "training.epochs=1", "validation.images=5", "training.batch=20",
         "device.pricing=open loop", 'effects.drift={kind="pcm"}',
         "effects.seconds=1.0"]  # fmt: skip


def reasons_of(record):
    return {one.reference.key: one.reasons for one in cited(run_works(record))}


def test_a_run_owes_model_device_rule_data_and_engines():
    device, changes = load_device("nbsto_32um"), [*SMALL, "training.rule=eapu", "data.name=mnist"]
    record = {
        "config": load_config("nbsto", changes).model_dump_json(),
        "versions": {"memtwin": "0", "ngspice": "44", "devices": "compiled"},
        "device": device_tree(device),
    }
    owed = reasons_of(record)
    assert owed["yakopcic2013"] == ("model yakopcic",)
    assert owed["tiotto2021"] == ("device nbsto_32um",)
    assert owed["eapu2025"] == ("update rule eapu",)
    assert owed["lecun1998"] == ("data mnist",)
    assert owed["joshi2020"] == ("effect drift",)
    assert {"memtwin", "numpy", "ngspice", "openvaf"} <= set(owed)
    record["versions"] = {"memtwin": "0", "ngspice": "not used", "devices": "not used"}
    assert not {"ngspice", "openvaf", "pyspice"} & set(reasons_of(record))


def test_rules_that_are_cited_are_those_that_there_are():
    assert set(RULE_WORKS) <= set(RULES)


@pytest.mark.slow
def test_a_finished_run_is_cited_from_its_folder(tmp_path):
    changes = [word for change in SMALL for word in ("--set", change)]
    ran("run", "demo", "--out", tmp_path / "run", *changes)
    assert {"yakopcic2013", "tan2024", "joshi2020"} <= set(keys("cite", tmp_path / "run"))


def test_what_is_no_run_is_refused(tmp_path):
    assert "no run, record or device" in ran("cite", tmp_path / "none", code=2)
    (tmp_path / "x.h5").write_bytes(b"no record")
    assert "x.h5" in ran("cite", tmp_path / "x.h5", code=2)


def test_dois_are_found_and_works_joined():
    assert dois_in("see doi:10.1063/5.0055982, and (10.1109/X.2)") == (
        "10.1063/5.0055982",
        "10.1109/X.2",
    )
    assert find_reference("https://doi.org/10.1038/NATURE06932").key == "strukov2008"
    with pytest.raises(InputError, match="no DOI"):
        find_reference("nothing")
    (one,) = cited([("numpy", "a"), ("10.1038/s41586-020-2649-2", "b"), ("numpy", "a")])
    assert one.reasons == ("a", "b")
