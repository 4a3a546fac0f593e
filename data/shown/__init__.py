"""How figures and pictures look, wherever they are shown."""
