"""``memtwin info``: what this installation is and has."""

__all__ = ["info"]

from ..console import Json, emit, note


def info(json: Json = False) -> None:
    """Show versions, the ngspice that was found, how devices stand in its decks, cores, the data cache, models,
    engines and importers.
    """
    import os
    import platform
    from importlib.metadata import version

    from ... import __version__
    from ...circuits.ngspice import installed as ngspice
    from ...circuits.ngspice.verdict import INSTALL
    from ...circuits.osdi.choice import why_not
    from ...circuits.osdi.compiler import compiler
    from ...circuits.registry import engine_names
    from ...data.catalogue import cache_folder
    from ...data.importers.readers import IMPORTERS
    from ...devices.models import models

    found = ngspice.features() if ngspice.available() else None
    reason, compiles = why_not() if found else None, compiler()
    summary = {
        "memtwin": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: version(name) for name in ("numpy", "scipy", "sympy", "lmfit", "h5py", "PySpice")},
        "ngspice": found.version if found else None,
        "ngspice_library": found.library if found else None,
        "klu": found.klu if found else None,
        "verilog_a_compiler": compiles.version if compiles else None,
        "devices": ("behavioural" if reason else "compiled") if found else None,
        "devices_because": reason or None,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "data_cache": str(cache_folder()),
        "data_cache_exists": cache_folder().is_dir(),
        "models": list(models),
        "engines": list(engine_names()),
        "importers": list(IMPORTERS),
    }
    emit(summary, as_json=json, title="memtwin")
    if found is None:
        note(f"note: ngspice was not found: {INSTALL}")
