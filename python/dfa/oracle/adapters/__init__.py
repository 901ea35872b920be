"""Models of each framework as oracles: one small file each, which imports its framework when it is used."""
