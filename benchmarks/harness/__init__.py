"""What several benchmarks share: arguments, inputs, printing, and the JSON that each of them leaves behind."""
