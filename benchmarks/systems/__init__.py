"""The systems of the paper's tables: one function per row, from a context to what was measured."""
