"""Polite requests to end a command."""

__all__ = ["stop_like_ctrl_c"]

import signal


def stop_like_ctrl_c() -> None:
    """Let a polite request to end (SIGTERM), or the end of the terminal, do what Ctrl-C does."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
