"""Models written down as text: equations and the files that hold them."""
