"""Files are whole or not there, go where they were sent, and leave nothing behind."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from memtwin.cli.main import app
from memtwin.data import files
from memtwin.data.errors import InputError, MemtwinError
from memtwin.data.records.store import write_record

SCRIPT = """
import os, sys
from pathlib import Path
from memtwin.data.files import replacing, scratch, write_text

if sys.argv[1] == "write":
    write_text(sys.argv[2], "new")
elif sys.argv[1] == "part":
    with replacing(sys.argv[2]) as file:
        file.write(b"half")
        file.flush()
        print("ready", flush=True)
        sys.stdin.read()
else:
    with scratch() as folder:
        (folder / "deck").write_text("x")
        print(folder, flush=True)
        if sys.argv[2] == "wait":
            sys.stdin.read()
"""


def start(*words, cwd=None, env=None):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=env and os.environ | env,
    )


def end(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def everywhere(path, tmp_path):
    """Write something at ``path`` by every way there is."""
    figure = Figure()
    netlist = ["netlist", str(path), "--rows", "2", "--cols", "2"]
    return {
        "record": lambda: write_record(path, "test", {"a": 1}),
        "text": lambda: files.write_text(path, "x"),
        "figure": lambda: files.write_figure(figure, path),
        "netlist": lambda: CliRunner().invoke(app, netlist, catch_exceptions=False),
    }


WAYS = ("record", "text", "figure", "netlist")


@pytest.mark.parametrize("way", WAYS)
def test_symlinks_are_followed_and_umask_and_mode_kept(tmp_path, way):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "link").symlink_to(home / "real")
    before = os.umask(0o027)
    try:
        everywhere(tmp_path / "link", tmp_path)[way]()
        assert (tmp_path / "link").is_symlink()
        assert stat.S_IMODE((home / "real").stat().st_mode) == 0o640
        (home / "real").chmod(0o604)
        everywhere(tmp_path / "link", tmp_path)[way]()
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "real").stat().st_mode) == 0o604
    assert names(home) == ["real"]


@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_regular_file_stays_and_is_named(tmp_path, way):
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path, words in (
        (pipe, "a device, a pipe"),
        (folder, "a folder"),
        ("/dev/null", "a device"),
    ):
        kind = os.stat(path).st_mode
        write = everywhere(path, tmp_path)[way]
        if way == "netlist":
            result = write()
            assert result.exit_code == 2
            assert words in " ".join(result.stderr.split())
        else:
            with pytest.raises(InputError, match=words):
                write()
        assert os.stat(path).st_mode == kind
    assert names(tmp_path) == ["folder", "pipe"]


def test_a_device_node_stays_one(tmp_path):
    node = tmp_path / "null"
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no right to make a device node")
    with pytest.raises(InputError, match="a device"):
        files.write_text(node, "x")
    assert stat.S_ISCHR(node.stat().st_mode)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_a_failing_block_leaves_nothing_not_even_folders(tmp_path, error):
    def fail() -> None:
        with files.replacing(tmp_path / "a" / "b" / "c.txt") as file:
            file.write(b"x")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert names(tmp_path) == []


def test_circles_long_names_and_no_names_are_one_sentence(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for path in (tmp_path / "a", tmp_path / ("x" * 300), tmp_path / "n\0", tmp_path / ("é" * 128)):
        with pytest.raises(MemtwinError, match=r"can't write|is no path"):
            files.write_text(path, "x")
    files.write_text(tmp_path / ("x" * 255), "x")
    assert names(tmp_path) == ["a", "b", "x" * 255]


def test_what_a_killed_process_left_goes_at_the_next_start(tmp_path):
    dead = start("part", tmp_path / "a.txt")
    assert dead.stdout.readline() == "ready\n"
    alive = start("part", tmp_path / "b.txt")
    assert alive.stdout.readline() == "ready\n"
    assert len(names(tmp_path)) == 2
    end(dead)
    start("write", tmp_path / "c.txt").communicate()
    assert len(names(tmp_path)) == 2  # c.txt, and what is being written to b.txt
    alive.communicate("")
    assert names(tmp_path) == ["b.txt", "c.txt"]
    assert (tmp_path / "b.txt").read_text() == "half"


def test_temporary_folders_of_killed_processes_go_too(tmp_path):
    env = {"TMPDIR": str(tmp_path)}
    dead, alive = (start("scratch", "wait", env=env) for _ in range(2))
    folders = [Path(process.stdout.readline().strip()) for process in (dead, alive)]
    end(dead)
    other = start("scratch", "leave", env=env)
    other.communicate()
    assert [folder.exists() for folder in folders] == [False, True]
    alive.communicate("")
    assert names(tmp_path) == []


def test_pictures_come_in_the_format_of_their_suffix(tmp_path):
    figure = Figure()
    figure.subplots().plot([1, 2])
    for name, start in (("a.png", b"\x89PNG"), ("a.PDF", b"%PDF"), ("a", b"\x89PNG")):
        assert files.write_figure(figure, tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(InputError, match=r"p\.foo: \.foo is no format of a picture \(known: .*png"):
        files.write_figure(figure, tmp_path / "p.foo")
    assert names(tmp_path) == ["a", "a.PDF", "a.png"]
