"""``python -m memtwin``, and the ``memtwin`` command."""

__all__ = ["main"]

import os
import signal


def _leave(*_: object) -> None:
    os.write(2, b"error: interrupted before anything was begun\n")
    os._exit(1)


def main() -> None:
    """Run the command line; Ctrl-C while it loads ends it as quietly as later."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from .cli.main import main as run

    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, usual)
    run()


if __name__ == "__main__":
    main()
