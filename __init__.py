"""memtwin: memristor devices in SPICE, and the networks that train on them."""

__version__ = "0.1.0"
__all__ = ["__version__"]
