"""dfa's names for arrays, so that one file here knows where they are."""

from __future__ import annotations

from dfa.types import Classes, Degrees, Image, Images, Indices, Scores

__all__ = ["Classes", "Degrees", "Image", "Images", "Indices", "Scores"]
