"""One model, asked in many places at once: what a worker is made of, and how batches get there and back."""
