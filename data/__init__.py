"""Records, measured data, image sets, and the catalogue that fetches them."""
