"""Attacks that dfa is compared with, each written from its paper, and the counter of their queries."""
