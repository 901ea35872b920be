"""The attack written slowly and plainly: what the C++ core is measured against.

- `philox`: the random streams (Philox4x32-10 and unbiased bounded integers).
- `proposals` and `racos`: Algorithm 1 draw by draw; the core must equal it bit for bit.
- `textbook`: the region sampler in its textbook form, with another random generator, and the exact
  distribution of its proposals by enumeration; the core must equal them in distribution.
- `chisquare`: the two tests that decide the latter.
"""
