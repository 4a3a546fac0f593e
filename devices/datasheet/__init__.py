"""A fitted device on one page of HTML, without anything that the page would have to load."""
