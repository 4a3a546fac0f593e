"""A trained network as a folder that numpy alone evaluates."""
