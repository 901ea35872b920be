"""How people see a run: reports, charts, pictures."""
