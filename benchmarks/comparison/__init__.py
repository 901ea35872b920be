"""What `queries.py` is made of: settings, attacks, the cells that are measured, their files and their tables."""
