"""ngspice jobs on a Dask cluster.

Every node needs memtwin and ngspice. A node's process starts its own ngspice workers, so that a
crash of ngspice costs the node nothing, and Dask sends the jobs of a lost node to the others.
"""

__all__ = ["dask_executor"]

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from ..data.errors import EngineError, EngineMissing


@contextmanager
def dask_executor(address: str, *, timeout: float = 10.0) -> Iterator[Executor]:
    """Yield an executor on the Dask scheduler at ``address``, such as ``tcp://10.0.0.5:8786``.

    Raises
    ------
    EngineMissing
        If Dask is not installed.
    EngineError
        If no scheduler answers within ``timeout`` [s].
    """
    try:
        import distributed
    except ImportError as error:
        raise EngineMissing(
            "a Dask cluster needs the extra: pip install 'memtwin[dask]'"
        ) from error
    try:
        client: Any = distributed.Client(address, timeout=timeout)
    except (OSError, ValueError) as error:
        raise EngineError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        executor: Executor = client.get_executor(pure=False)
        yield executor
