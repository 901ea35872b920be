"""The loop: keeps the oracle's batches full until every image has its record."""
