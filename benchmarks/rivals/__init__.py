"""Attacks that dfa is compared with, each written from its paper, and the boundary that counts their queries."""
