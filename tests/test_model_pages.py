"""Every compact model has a page, whose tables are as the model says and whose works are known."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from memtwin.data.catalogue import datasets
from memtwin.data.literature.references import dois_in, find_reference, references
from memtwin.devices.device import load_device
from memtwin.devices.device_file import shipped_by_model, shipped_devices
from memtwin.devices.models import Models
from memtwin.devices.works import device_works, model_works

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs" / "figures"))
pages = importlib.import_module("models")
PAGES = sorted(pages.PAGES.glob("*.md"))
VARIANTS = ("vteam_",)
"""Beginnings of models that differ from one with a block by a window or a shape alone."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_as_the_models_say(page):
    text = page.read_text(encoding="utf-8")
    assert pages.filled(text) == text
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (page.parent / picture).is_file(), picture
    assert "**Valid**" in text
    assert page.name in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert f"models/{page.name}" in (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_every_model_has_a_page():
    shown = set(pages.paged())
    missing = [n for n in Models() if n not in shown and not n.startswith(VARIANTS)]
    assert not missing, f"docs/models/ has no block of {missing}"
    assert len(shown) == len(pages.paged())


def test_works_have_what_a_citation_needs():
    seen = {}
    for key, work in references().items():
        assert key == work.key
        assert work.authors, key
        assert work.title or work.doi, key
        assert not work.doi or dois_in(work.doi) == (work.doi,), key
        assert work.doi not in seen or not work.doi, f"{key} and {seen.get(work.doi)}"
        seen[work.doi] = key
        assert work.bibtex.count("{") == work.bibtex.count("}")


def test_what_models_devices_and_data_are_from_is_known():
    known = {work.doi.lower() for work in references().values()}
    named = [doi for name in Models() for doi, _ in model_works(Models()[name])]
    for name in shipped_devices():
        device = load_device(name)
        assert name in shipped_by_model()[device.model.name]
        works = [what for what, _ in device_works(device)]
        assert works or "no_doi" in device.meta, name
        named += works
    named += [entry.doi for entry in datasets().values() if entry.doi]
    for what in named:
        assert what in references() or what.lower() in known, what
        assert find_reference(what).title, what
