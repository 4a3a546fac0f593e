"""The works that memtwin builds on, and how they are cited."""
