"""``python -m memtwin`` is the ``memtwin`` command."""

from .cli.main import main

if __name__ == "__main__":
    main()
