"""From words on a command line to what `dfa.run` takes: models, images, labels, targets, search spaces.

Whatever is wrong with a word is an `InvalidInputError` that says what was expected in its place.
"""

from __future__ import annotations

import csv
import dataclasses
import glob
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import PIL
import PIL.Image
from numpy.typing import NDArray

from dfa.errors import DfaError, InvalidInputError
from dfa.search.goals import Rank, rank
from dfa.space import LinfBall, Space, core_spaces
from dfa.types import Image, ImageSequence

Channels: TypeAlias = Literal["auto", "grey", "rgb"]

_SUFFIXES: Final = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_KERAS_SUFFIXES: Final = {".keras", ".h5", ".hdf5"}
_GREY_MODES: Final = {"1", "L", "LA"}
_COLOUR_MODES: Final = {"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
_ORIENTATION: Final = 0x0112


def load_object(word: str) -> Any:
    """Return what `module:attribute` or `file.py:attribute` names.

    The current folder is searched for modules first, as `python -m` does.

    Raises:
        InvalidInputError: There is no such module or attribute, or importing it fails.
    """
    place, separator, names = word.rpartition(":")
    if not separator or not place or not names:
        raise InvalidInputError(f"{word!r} must be module:attribute, such as mymodel:classify")
    try:
        found = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    except DfaError:
        raise
    except Exception as error:  # a user's module may raise anything
        raise InvalidInputError(f"cannot import {place!r}: {type(error).__name__}: {error}") from error
    for name in names.split("."):
        if not hasattr(found, name):
            raise InvalidInputError(f"{place!r} has no {names!r}; it has {_names_in(found)}")
        found = getattr(found, name)
    return found


def load_model(word: str) -> Any:
    """Return the model that a word names: a Keras file, the path of a TFLite file, or `module:attribute`.

    Raises:
        InvalidInputError: It names none.
        MissingDependencyError: Keras is needed and is not installed.
    """
    path = Path(word)
    if path.suffix not in {*_KERAS_SUFFIXES, ".tflite"}:
        if ":" not in word:
            raise InvalidInputError(
                "MODEL must be a .keras or a .tflite file, or module:attribute for any function of a uint8 batch, got "
                f"{word!r}"
            )
        return load_object(word)
    if not path.is_file():
        raise InvalidInputError(f"MODEL must be a file that exists, and {word!r} does not")
    if path.suffix == ".tflite":
        return path
    from dfa.oracle.keras import import_keras

    keras = import_keras()
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds, also of custom layers
        raise InvalidInputError(
            f"Keras cannot load {word!r}: {type(error).__name__}: {error}\n(custom layers? load the model in a module "
            "of yours, and pass module:attribute)"
        ) from error


@dataclass
class ImageFiles:
    """Image files as a sequence of uint8 images, each decoded when it is asked for.

    Pillow decodes; what it gives, in 8 bits, is what is attacked. An EXIF orientation is not applied, as
    `keras.utils.load_img` and torchvision's folders do not apply it either.

    Attributes:
        paths: The files, in order.
        channels: "grey" for (H, W, 1) or "rgb" for (H, W, 3).
        size: (H, W) to resize to by Pillow's bicubic filter before anything else, or None.
        turned: Files that carry an EXIF orientation, as far as they have been read.
    """

    paths: list[Path]
    channels: Literal["grey", "rgb"]
    size: tuple[int, int] | None = None
    turned: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Image:
        """Return one image: uint8, (H, W, 1) or (H, W, 3).

        Raises:
            OSError: It cannot be read.
            InvalidInputError: It holds more than 8 bits per channel.
        """
        path = self.paths[index]
        with PIL.Image.open(path) as picture:
            if picture.mode not in _GREY_MODES | _COLOUR_MODES:
                raise InvalidInputError(f"{path.name} must have 8 bits per channel, and is of mode {picture.mode!r}")
            if picture.getexif().get(_ORIENTATION, 1) != 1:
                self.turned.add(path.name)
            decoded = picture.convert("L" if self.channels == "grey" else "RGB")
        if self.size is not None and decoded.size != self.size[::-1]:
            decoded = decoded.resize(self.size[::-1], PIL.Image.Resampling.BICUBIC)
        pixels: Image = np.array(decoded, dtype=np.uint8)
        return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels

    def describe(self) -> str:
        """Return in words what is attacked."""
        kinds = sorted({path.suffix.lower().lstrip(".") for path in self.paths})
        shape = "" if self.size is None else f", resized once to {self.size[0]}x{self.size[1]}"
        return (
            f"{len(self.paths):,} files ({', '.join(kinds)}), decoded once by Pillow {PIL.__version__} to 8-bit "
            f"{'grey' if self.channels == 'grey' else 'RGB'} pixels{shape}; those pixels are attacked"
        )


@dataclass(frozen=True)
class ImageSource:
    """Images, and what is known of them beside their pixels.

    Attributes:
        images: The images.
        names: One per image: file names, or places.
        text: What they are, in words.
    """

    images: ImageSequence | NDArray[np.uint8]
    names: list[str]
    text: str


def open_images(
    word: str, *, channels: Channels = "auto", size: tuple[int, int] | None = None, wanted: int | None = None
) -> ImageSource:
    """Return the images that a word names: a folder, a glob, a .npy or a .npz file.

    Args:
        word: What names them. Files are taken in the order of their names; hidden ones are left out.
        channels: Of image files. "auto" is what the model takes, or else what the first file has.
        size: (H, W) to resize image files to.
        wanted: Channels that the model takes, if known.

    Raises:
        InvalidInputError: It names no image, or an array of another kind.
    """
    path = Path(word)
    if path.suffix in (".npy", ".npz"):
        if size is not None or channels != "auto":
            raise InvalidInputError("only image files can be resized or converted; an array is attacked as it is")
        images = _load_array(path, "images")
        return ImageSource(images, [str(index) for index in range(len(images))], f"{len(images):,} images of {word}")
    files = sorted(path.iterdir()) if path.is_dir() else sorted(map(Path, glob.glob(word, recursive=True)))
    files = [each for each in files if each.suffix.lower() in _SUFFIXES and not each.name.startswith(".")]
    if not files:
        raise InvalidInputError(
            f"IMAGES must be a folder or a glob with images ({', '.join(sorted(_SUFFIXES))}), or a .npy or .npz file, "
            f"and {word!r} is none"
        )
    opened = ImageFiles(files, _channels(files[0], channels, wanted), size)
    return ImageSource(opened, [each.name for each in files], opened.describe())


def read_labels(word: str, names: Sequence[str], *, column: str = "label") -> NDArray[np.int64]:
    """Return one class id per image, from a table or an array.

    Args:
        word: A .csv file with a header, whose column `label` is looked up by the column `file` (or `index`), or
            taken in order where there is neither; or a .npy or .npz file (`labels`).
        names: The images, as `ImageSource` names them.
        column: The column to read.

    Returns:
        int64, (N,).

    Raises:
        InvalidInputError: A label is missing, stands twice, or is no integer.
    """
    path = Path(word)
    if path.suffix in (".npy", ".npz"):
        return np.asarray(_load_array(path, f"{column}s"))
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"cannot read {word!r}: {error}") from error
    if not rows or column not in rows[0]:
        raise InvalidInputError(
            f"{word!r} must be a table with a header and a column {column!r}, such as\nfile,{column}\ncat.jpg,281"
        )
    key = next((name for name in ("file", "index") if name in rows[0]), None)
    if key is None:
        if len(rows) != len(names):
            raise InvalidInputError(
                f"{word!r} must have one row for each of the {len(names)} images, or a column 'file', and has "
                f"{len(rows)} rows"
            )
        return np.array([_integer(row[column], word, place) for place, row in enumerate(rows)], dtype=np.int64)
    found: dict[str, int] = {}
    for place, row in enumerate(rows):
        # A table may be about a folder, and name its files with the folder.
        name = Path(row[key]).name if key == "file" else row[key].strip()
        if found.setdefault(name, label := _integer(row[column], word, place)) != label:
            raise InvalidInputError(f"{word!r} gives {name} twice, as {found[name]} and as {label}")
    missing = [name for name in names if name not in found]
    if missing:
        raise InvalidInputError(f"{word!r} must label every image, and lacks {len(missing)}, the first {missing[0]!r}")
    return np.array([found[name] for name in names], dtype=np.int64)


def parse_target(word: str | None, names: Sequence[str]) -> Rank | int | NDArray[np.int64] | None:
    """Return the targets that a word names: `rank:11`, `class:7`, or a table with a column `target`.

    Raises:
        InvalidInputError: It names none.
    """
    if word is None:
        return None
    kind, _, number = word.partition(":")
    if kind in ("rank", "class") and number.isdecimal():
        return rank(int(number)) if kind == "rank" else int(number)
    if Path(word).suffix in (".csv", ".npy", ".npz"):
        return read_labels(word, names, column="target")
    raise InvalidInputError(f"the target must be rank:J, class:ID or a .csv file with a column 'target', got {word!r}")


def parse_epsilon(word: str) -> int | NDArray[Any]:
    """Return epsilon: grey levels, or an array of them from a .npy file.

    Raises:
        InvalidInputError: It is neither.
    """
    if word.endswith(".npy"):
        return _load_array(Path(word), "epsilon")
    try:
        return int(word)
    except ValueError:
        pass
    try:
        share = float(word)
    except ValueError:
        share = 0.0
    hint = (
        f"; did you mean {max(1, round(share * 255))}, for {max(1, round(share * 255))}/255?" if 0 < share < 1 else ""
    )
    raise InvalidInputError(f"epsilon must be grey levels, 1..255, or a .npy file of them, got {word!r}{hint}")


def parse_space(word: str | None, epsilon: str | None) -> Space:
    """Return the search space that words name.

    Args:
        word: None for the ball; or a kind of `dfa.space` with the fields that differ from their defaults, such as
            `pixels`, `rectangle:height=32,width=16` or `tiny_rectangles:number=20,size=2x3`; or `module:attribute` for
            a `dfa.Space`.
        epsilon: As of `parse_epsilon`, of the ball and of `tiled`, which lies in one; None for 10.

    Raises:
        InvalidInputError: They name none, or an epsilon for a space that has none. What values a field may have is
            told where the space meets the images.
    """
    ball = LinfBall() if epsilon is None else LinfBall(parse_epsilon(epsilon))
    if word is None:
        return ball
    name, _, rest = word.partition(":")
    kinds = core_spaces()
    kind = kinds.get(name.replace("-", "_"))
    has_ball = kind is not None and any(each.name == "base" for each in dataclasses.fields(kind))
    if epsilon is not None and not has_ball:
        raise InvalidInputError(f"epsilon is of the ball around an image, and the space {word!r} is none; leave it out")
    if kind is None:
        if ":" not in word:
            raise InvalidInputError(
                f"the space must be one of {', '.join(kinds)}, with its fields as in rectangle:height=32,"
                f"width=16, or module:attribute for a dfa.Space, got {word!r}"
            )
        space = load_object(word)
        if not isinstance(space, Space):
            raise InvalidInputError(f"{word!r} must be a dfa.Space, got {type(space).__name__}")
        return space
    given: dict[str, Any] = {"base": ball} if has_ball else {}
    fields = [each.name for each in dataclasses.fields(kind) if each.name != "base"]
    for part in rest.split(",") if rest else ():
        field_name, _, value = part.partition("=")
        sides = value.lower().split("x")
        if field_name not in fields or not 1 <= len(sides) <= 2 or not all(side.isdecimal() for side in sides):
            raise InvalidInputError(
                f"a space's field must be NAME=INTEGER, and {kind.kind()} has {', '.join(fields)}; got {part!r}"
            )
        given[field_name] = int(value) if len(sides) == 1 else (int(sides[0]), int(sides[1]))
    return kind(**given)


def parse_size(word: str | None) -> tuple[int, int] | None:
    """Return (H, W) from `HxW` or `H`.

    Raises:
        InvalidInputError: It is neither.
    """
    if word is None:
        return None
    sides = word.lower().split("x")
    if not 1 <= len(sides) <= 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise InvalidInputError(f"the size must be HEIGHTxWIDTH, such as 224x224, got {word!r}")
    return int(sides[0]), int(sides[-1])


def channels_of(model: Any) -> int | None:
    """Return how many channels a Keras model takes; None of a model that does not tell."""
    shape = getattr(model, "input_shape", None)
    is_known = isinstance(shape, tuple) and len(shape) == 4 and isinstance(shape[-1], int)
    return shape[-1] if is_known and shape is not None else None


def _channels(first: Path, channels: Channels, wanted: int | None) -> Literal["grey", "rgb"]:
    if channels != "auto":
        return channels
    if wanted in (1, 3):
        return "grey" if wanted == 1 else "rgb"
    try:
        with PIL.Image.open(first) as picture:
            return "grey" if picture.mode in _GREY_MODES else "rgb"
    except OSError as error:
        raise InvalidInputError(f"cannot read {first}: {error}") from error


def _load_array(path: Path, name: str) -> NDArray[Any]:
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if name in loaded:
                return np.asarray(loaded[name])
            if len(loaded.files) == 1:
                return np.asarray(loaded[loaded.files[0]])
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"cannot read {str(path)!r}: {error}") from error
    raise InvalidInputError(f"{str(path)!r} must hold an array {name!r}, and holds {', '.join(loaded.files)}")


def _integer(text: str | None, word: str, place: int) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise InvalidInputError(f"{word!r} must hold class ids, and row {place + 1} holds {text!r}") from None


def _load_module(name: str) -> Any:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise InvalidInputError(f"{str(path)!r} must be a file that exists")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _names_in(found: object) -> str:
    names = [name for name in dir(found) if not name.startswith("_")]
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
