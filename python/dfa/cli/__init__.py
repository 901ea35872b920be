"""The command line: words in, one call of the Python interface, a table or JSON out."""
