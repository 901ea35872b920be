"""Images as people have them: files, folders of classes, data sets of torch and Hugging Face; with labels and names.

`dfa.run` takes all of them. What is here makes images of files, or takes the labels off:

>>> import dfa
>>> images = dfa.data.image_folder("photos-by-class/", class_names=["cat", "dog"])  # doctest: +SKIP
>>> images = dfa.data.as_images(dataset).without_labels()  # doctest: +SKIP
"""

from __future__ import annotations

from dfa.data.choice import as_images
from dfa.data.folders import image_files, image_folder
from dfa.data.image_set import ImageSet

__all__ = ["ImageSet", "as_images", "image_files", "image_folder"]
