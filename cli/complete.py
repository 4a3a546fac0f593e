"""Names that a shell completes; each is looked up in files, since a shell waits for no imports."""

__all__ = ["cells", "datasets", "devices", "presets", "runs", "technologies"]

from importlib.resources import files
from pathlib import Path

_PACKAGE = __package__.rpartition(".")[0]


def presets(incomplete: str) -> list[str]:
    """Return presets of a run."""
    return _named(Path(str(files(_PACKAGE))) / "training" / "runs" / "presets", incomplete)


def devices(incomplete: str) -> list[str]:
    """Return shipped devices."""
    return _named(Path(str(files(_PACKAGE))) / "devices" / "library", incomplete)


def technologies(incomplete: str) -> list[str]:
    """Return shipped technologies."""
    folder = Path(str(files(_PACKAGE))) / "devices" / "technology" / "library"
    return _named(folder, incomplete)


def cells(incomplete: str) -> list[str]:
    """Return what the cells of a run may be: shipped devices and technologies."""
    return devices(incomplete) + technologies(incomplete)


def datasets(incomplete: str) -> list[str]:
    """Return datasets of the catalogue."""
    from ..data.catalogue import datasets as known

    return sorted(name for name in known() if name.startswith(incomplete))


def runs(incomplete: str) -> list[str]:
    """Return folders of runs, in ``runs`` and where the word points to."""
    places = {file.parent for file in Path("runs").glob("*/config.json")}
    places |= {file.parent for file in Path().glob(f"{incomplete or '.'}*/config.json")}
    return sorted(str(place) for place in places if str(place).startswith(incomplete))


def _named(folder: Path, incomplete: str) -> list[str]:
    return sorted({path.stem for path in folder.rglob(f"{incomplete}*.toml")})
