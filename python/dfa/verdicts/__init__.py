"""Whether a model may ship: shares with their intervals, two models compared, a bar held, and reports for others."""
