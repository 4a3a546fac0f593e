"""A hint to the C library about memory that is freed and soon asked for again."""

__all__ = ["keep_freed_memory"]

import ctypes
import functools
import os

KEPT = 1 << 28
"""Freed bytes that the process may keep at the top of its heap."""

LARGEST = 1 << 25
"""Largest array [byte] that comes from the heap; glibc takes no more."""

TRIM, MAPPED = -1, -3
"""glibc's names: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD."""


@functools.cache
def keep_freed_memory() -> None:
    """Ask glibc not to return the memory of temporary arrays to the system between two of them.

    Tiles are worked on in blocks with many arrays of a megabyte or so. Each would otherwise come as
    fresh pages, and touching those costs as much as the arithmetic. Engines ask for it when they
    are made; a process that has set ``MALLOC_TRIM_THRESHOLD_`` itself is left alone, and where
    there is no glibc nothing happens.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(MAPPED, LARGEST)
    mallopt(TRIM, KEPT)
