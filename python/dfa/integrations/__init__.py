"""How do other libraries call dfa? A module for each, imported by name: `from dfa.integrations.foolbox import DFA`."""
