"""``python -m memtwin``, and the ``memtwin`` command."""

__all__ = ["main"]

import os
import signal
import sys


def _leave(*_: object) -> None:
    os.write(2, b"error: interrupted before anything was begun\n")
    os._exit(130)


def _answered(words: list[str]) -> bool:
    """Answer what needs no verb at once."""
    if words in (["-V"], ["--version"]):
        from . import __version__

        sys.stdout.write(f"memtwin {__version__}\n")
    elif words in ([], ["-h"], ["--help"]) and not os.environ.get("_MEMTWIN_COMPLETE"):
        from .cli.table import help_text

        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(help_text().encode(encoding, "replace").decode(encoding))
    else:
        return False
    return True


def main() -> None:
    """Run the command line; Ctrl-C while it loads ends it as quietly as later."""
    if _answered(sys.argv[1:]):
        return
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from .cli.main import main as run

    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, usual)
    run()


if __name__ == "__main__":
    main()
