"""The parts of `devices.py`: a simulated device, cheap exact models, the cases, and two builds in turns."""
