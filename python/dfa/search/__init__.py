"""The search: what is minimised, towards which goal, and how candidates are made and learn from one another."""
