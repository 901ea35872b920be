"""The commands of `dfa`, one a module, and what they share.

They need click and rich, which `dfa.cli.main` looks for before it imports any of them.
"""
