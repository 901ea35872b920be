"""Messages of the library in the words of the command line: arguments of Python are options here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

import click

_RENAMED: Final = {
    "gpus": "gpus_per_worker",
    "classes": "class_names",
    "headers": "header",
    "interval": "checkpoint",
    "layout": "image_layout",
    "mixed": "mixed_workers",
    "providers": "device",
    "store": "out",
    "targets": "target",
    "vector_oracle": "vector_model",
}
"""Arguments whose option has another name; the others have their own."""

_PHRASES: Final = (
    ("normalizer=dfa.Affine(layout='NCHW')", "--layout NCHW"),
    ("dfa.Affine(layout='NCHW')", "--layout NCHW"),
    ("normalizer=...", "--range and --layout"),
    (" (what was to be saved is still in memory, and can be saved again)", ""),
    ("take them without labels: dfa.data.image_files", "leave out --labels folders"),
    ("leave labels and names out with dfa.data.as_images(images).without_labels()", "leave out --labels folders"),
    ("resume=True", "dfa resume RUN"),
    ("wrap it: dfa.top_k(model, k), dfa.top_1(model) or dfa.label_only(model)", "pass --shows top_k, top_1 or label"),
    ("as_oracle needs ", "MODEL must be "),
    ("pass rate too", "pass --rate too"),
    ("pass the address that is meant as url", "give the address that is meant as MODEL"),
    ("url must be ", "MODEL must be "),
    ("leave providers out", "leave --device out"),
    ("prior must be None, a torch module", "--prior must be a torch module"),
    ("leave prior out", "leave out --prior"),
    ("must be None or ", "must be "),
    ("must be None, dfa.rank(j), one integer class id", "must be rank:J, class:ID"),
    (" (unless None)", ""),
    (", or claimed= a boolean per vector, the attack's own word", ""),
    (
        "pass a larger tolerance",
        "make a module with oracle = dfa.as_oracle(model, tolerance=...), and give MODULE:oracle as MODEL",
    ),
)
"""What no option alone stands for."""

_ERROR_OF_OTHERS: Final = re.compile(r": [\w.]*(?:Error|Exception|Exit|Interrupt|Warning)\b")
"""Where the words of somebody else begin, which stay as they are."""

_NUMBERS: Final = re.compile(r"\b(mean|std|value_range)=[\[(]([-\d., ]+)[\])]")

_OF_THE_MODEL: Final = (
    (re.compile(r"\blayout(?=, of what the (?:module|model) takes,)|(?<=takes no )layout\b"), "--model-layout"),
    (re.compile(r"\blayout=(?:'(\w+)')?(?= if that is what it takes)"), r"--model-layout \1"),
    (re.compile(r"pass layout='NCHW' or layout='NHWC'"), "pass --model-layout NCHW or NHWC"),
    (re.compile(r"(--value-range 0,1) or \(-1, 1\)"), r"\1 or -1,1"),
    (re.compile(r"device='([^']*)'(?=; move it)"), r"--device \1"),
    (re.compile(r", or a transform= that makes its input"), ""),
    (re.compile(r"resize the images, pass (?=--model-layout)"), "--size HxW resizes image files, or pass "),
)
"""What is said of a model, also after the words of its framework; other layouts are of images and of vectors."""

_OTHER_SIZE: Final = re.compile(r"(takes (?:inputs|images) of shape \((\d+), (\d+), \d+\)[^;]*); resi.*", re.DOTALL)
_RESIZED: Final = (
    r"\1; --size \2x\3 resizes image files, --channels makes them grey or rgb, and a --preprocess function of yours "
    "does what else it takes"
)

_WORD: Final = re.compile(
    r"""
    (?P<kept> (?<!\w)'[^'\n]*' | (?<!\w)"[^"\n]*" | (?<=\w)\([^()\n]*\) | [^\s=]*/\S* )  # quoted, code, or a path
    | (?<![\w./=-]) (?P<argument>[a-z]\w*) =
      (?: (?P<value>'[^'\n]*'|True|False|None|[A-Z]\b|\d[\d.]*) | (?=[\s,;.)]|$) )
    | (?<=takes[ ]no[ ]) (?P<refused>[a-z_]+)
    | (?:^|(?<=;[ ])) (?P<subject>[a-z]+) (?=(?:[ ]\([^()]*\))?[ ]must[ ])
    | (?<![\w./=-]) (?P<name>[a-z]+(?:_[a-z]+)+) (?![\w(=/:]|\.\w)
    """,
    re.VERBOSE,
)


def in_options(message: str, command: click.Command | None) -> str:
    """Return a message with the options of a command in place of arguments.

    Args:
        message: What an error of the library says. Quoted words, paths, code and errors of others stay as they are.
        command: The command that was given; None where none was.
    """
    if command is None:
        return message
    message = _NUMBERS.sub(lambda row: f"--{row[1].replace('_', '-')} {row[2].replace(' ', '')}", message)
    for pattern, words in _OF_THE_MODEL:
        message = pattern.sub(words, message)
    border = _ERROR_OF_OTHERS.search(message)
    ours, others = (message, "") if border is None else (message[: border.start()], message[border.start() :])
    options = {each.name: each for each in command.params if isinstance(each, click.Option) and each.name}
    for phrase, words in _PHRASES:
        if phrase.partition("=")[0] not in options:
            ours = ours.replace(phrase, words)
    ours = _OTHER_SIZE.sub(_RESIZED, ours)
    return _WORD.sub(lambda found: _translated(found, options), ours) + others


def _translated(found: re.Match[str], options: Mapping[str, click.Option]) -> str:
    name = found["argument"] or found["refused"] or found["subject"] or found["name"]
    option = options.get(_RENAMED.get(name, name)) if name else None
    if option is None:
        return found[0]
    flag = option.opts[-1]
    value = found["value"]
    if value in (None, "None") or (option.is_flag and value == "True"):
        return flag
    return f"{flag} {value.lower() if value in ('True', 'False') else shlex.quote(value.strip(chr(39)))}"
