import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from memtwin.data import catalogue
from memtwin.data.catalogue import Entry, cache_folder, datasets, fetch, find_dataset
from memtwin.data.errors import InputError, MemtwinError

CONTENT = b"V1,I1\n0,0\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A web server with two files, a catalogue that names them, and an empty cache."""
    upstream = tmp_path / "upstream" / "old place"
    upstream.mkdir(parents=True)
    (upstream / "a.csv").write_bytes(CONTENT)
    (upstream / "changed.csv").write_bytes(b"something else")
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "upstream"))
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    digest = hashlib.sha256(CONTENT).hexdigest()
    entry = Entry(
        name="toy",
        title="toy",
        kind="sweeps",
        device="none",
        licence="CC0",
        doi="",
        source="",
        folder="devices/toy",
        base=f"http://127.0.0.1:{server.server_port}/",
        columns="",
        files={"sub/a.csv": digest, "changed.csv": digest, "gone.csv": digest},
        upstream={"sub/a.csv": "old place/a.csv", "changed.csv": "old place/changed.csv"},
    )
    monkeypatch.setattr(catalogue, "datasets", lambda: {"toy": entry})
    monkeypatch.setenv("MEMTWIN_DATA", str(tmp_path / "cache"))
    yield entry
    server.shutdown()
    server.server_close()


def test_download_once_then_read_from_the_cache(shelf):
    steps = []
    (path,) = fetch("toy", "*a.csv", progress=lambda done, total: steps.append((done, total)))
    assert path == cache_folder() / "devices/toy/sub/a.csv"
    assert path.read_bytes() == CONTENT
    assert steps == [(1, 1)]
    assert shelf.cached == 1
    stamp = path.stat().st_mtime_ns
    fetch("toy", "*a.csv")
    assert path.stat().st_mtime_ns == stamp


def test_wrong_hash_in_the_cache_is_refused_and_nothing_is_lost(shelf):
    path = shelf.path("sub/a.csv")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"my own measurement")
    with pytest.raises(InputError, match="move it away to have it downloaded again"):
        fetch("toy", "*a.csv")
    assert path.read_bytes() == b"my own measurement"


def test_wrong_hash_upstream_leaves_nothing(shelf):
    with pytest.raises(
        MemtwinError, match=r"no longer holds the file of dataset toy .*MEMTWIN_DAT"
    ):
        fetch("toy", "changed.csv")
    assert not list(shelf.path("changed.csv").parent.iterdir())


def test_missing_upstream_and_no_network_name_the_remedy(shelf, monkeypatch):
    with pytest.raises(MemtwinError, match=r"can't download .*gone.csv.*by hand.*MEMTWIN_DATA"):
        fetch("toy", "gone.csv")
    offline = catalogue.Entry(**{**shelf.__dict__, "base": "http://127.0.0.1:9/"})
    monkeypatch.setattr(catalogue, "datasets", lambda: {"toy": offline})
    with pytest.raises(MemtwinError, match=r"can't download .*MEMTWIN_DATA"):
        fetch("toy", "sub/a.csv")


def test_unknown_names(shelf):
    with pytest.raises(InputError, match=r"unknown dataset 'tox'.*'toy'"):
        fetch("tox")
    with pytest.raises(InputError, match=r"no file of dataset toy matches '\*.h5'; it has 3 files"):
        fetch("toy", "*.h5")


def test_every_entry_is_whole():
    for name, entry in datasets().items():
        assert entry.licence, name
        assert entry.columns, name
        assert entry.kind in {"images", "sweeps", "pulses", "array"}
        assert entry.files, name
        for file, digest in entry.files.items():
            assert len(bytes.fromhex(digest)) == 32
            assert entry.url(file).startswith("https://")
            assert " " not in entry.url(file)
    assert find_dataset("mnist").url("t10k-labels-idx1-ubyte.gz").endswith("labels-idx1-ubyte.gz")


def test_cache_folder_without_the_variable(monkeypatch):
    monkeypatch.delenv("MEMTWIN_DATA", raising=False)
    assert cache_folder().name == "memtwin"


@pytest.mark.data
@pytest.mark.parametrize("name", ["nbsto-groningen-iv", "crosssim-taox-ltp-ltd"])
def test_the_cache_holds_what_the_catalogue_means(name):
    assert len(fetch(name)) == len(find_dataset(name).files)
