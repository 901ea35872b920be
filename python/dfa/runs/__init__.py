"""A run on disk: its folder, its journal, its files; and whether they are what they say."""
