"""From words on a command line to what `dfa.run` takes: models, images, labels, targets, search spaces.

Whatever is wrong with a word is an `InvalidInputError` that says what was expected in its place.
"""
