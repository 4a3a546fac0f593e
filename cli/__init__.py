"""The ``memtwin`` command, one module per verb, and the report."""
