"""Image files of more than 8 bits per sample are refused by what the file says, whatever Pillow makes of them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import dfa
from command_line import dfa_says, go_to_workplace
from dfa.data.image_files import ImageFiles
from oracles import random_images

WIDE = np.random.default_rng(0).integers(0, 65_536, (6, 5, 4), dtype=np.uint16)
GREY, GREY_ALPHA, RGB, RGBA = 0, 4, 2, 6
CHANNELS = {GREY: 1, GREY_ALPHA: 2, RGB: 3, RGBA: 4}


def png(colour, depth, values=WIDE):
    """A PNG by hand, since Pillow writes few of more than 8 bits."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    samples = values[:, :, : CHANNELS[colour]]
    raw = samples.astype(">u2") if depth == 16 else (samples >> 8).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in raw)
    header = struct.pack(">IIBBBBB", 5, 6, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(values, sample_format=1):
    """An uncompressed little-endian TIFF by hand, (H, W, C)."""
    height, width, channels = values.shape
    bits, data = values.dtype.itemsize * 8, values.astype(values.dtype.newbyteorder("<")).tobytes()
    after = 8 + 2 + 11 * 12 + 4
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, bits if channels == 1 else after),
        (259, 3, 1, 1),
        (262, 3, 1, 1 if channels == 1 else 2),
        (273, 4, 1, after + 32),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
        (284, 3, 1, 1),
        (339, 3, channels, sample_format if channels == 1 else after + 16),
    ]
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *each) for each in entries)
    told = struct.pack("<3H", *[bits] * 3).ljust(16, b"\0") + struct.pack("<3H", *[sample_format] * 3).ljust(16, b"\0")
    return b"II*\0" + struct.pack("<I", 8) + table + struct.pack("<I", 0) + told + data


def ppm(magic, most, number):
    values = WIDE[:, :, :number].astype(np.int64) % (most + 1)
    data = values.astype(">u2" if most > 255 else np.uint8).tobytes()
    return magic + b"\n# a comment\n5 6 # another\n" + str(most).encode() + b"\n" + data


def saved(picture, kind):
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return buffer.getvalue()


SIXTEEN = {
    "grey.png": png(GREY, 16),
    "grey_alpha.png": png(GREY_ALPHA, 16),
    "rgb.png": png(RGB, 16),
    "rgba.png": png(RGBA, 16),
    "pillow.png": saved(PIL.Image.fromarray(WIDE[:, :, 0]), "PNG"),
    "grey.tif": tiff(WIDE[:, :, :1]),
    "rgb.tiff": tiff(WIDE[:, :, :3]),
    "pillow.tif": saved(PIL.Image.fromarray(WIDE[:, :, 0]), "TIFF"),
    "grey.pgm": ppm(b"P5", 65_535, 1),
    "rgb.ppm": ppm(b"P6", 65_535, 3),
    "named_otherwise.bmp": png(RGB, 16),
}
OTHERS = {
    "floats.tif": (saved(PIL.Image.fromarray(np.ones((6, 5), dtype=np.float32)), "TIFF"), "has floats"),
    "signed.tif": (tiff(WIDE[:, :, :1].astype(np.int8), 2), "has signed integers"),
    "ten.pgm": (ppm(b"P5", 1_023, 1), "has 10;"),
}
EIGHT = random_images(1, (6, 5, 3))[0]
FINE = {
    "rgb.png": (png(RGB, 8), WIDE[:, :, :3] >> 8),
    "rgb.tif": (tiff((WIDE[:, :, :3] >> 8).astype(np.uint8)), WIDE[:, :, :3] >> 8),
    "pillow.png": (saved(PIL.Image.fromarray(EIGHT), "PNG"), EIGHT),
    "pillow.tif": (saved(PIL.Image.fromarray(EIGHT), "TIFF"), EIGHT),
    "pillow.bmp": (saved(PIL.Image.fromarray(EIGHT), "BMP"), EIGHT),
    "pillow.ppm": (saved(PIL.Image.fromarray(EIGHT), "PPM"), EIGHT),
    "commented.ppm": (ppm(b"P6", 255, 3), WIDE[:, :, :3] % 256),
    "phone.jpg": (saved(PIL.Image.new("RGB", (5, 6)), "MPO"), np.zeros((6, 5, 3))),
    "one_bit.png": (saved(PIL.Image.new("1", (5, 6), 1), "PNG"), np.full((6, 5, 3), 255)),
    "one_bit.tif": (saved(PIL.Image.new("1", (5, 6), 1), "TIFF"), np.full((6, 5, 3), 255)),
    "one_bit.pbm.ppm": (saved(PIL.Image.new("1", (5, 6), 1), "PPM"), np.full((6, 5, 3), 255)),
}


def read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return ImageFiles([tmp_path / name], "rgb")[0]


@pytest.mark.parametrize("name", SIXTEEN)
def test_sixteen_bits_are_refused_with_what_to_do(tmp_path, name):
    with pytest.raises(dfa.InvalidInputError, match=rf"^{name} must have 8 bits per channel, and has 16; convert it"):
        read(tmp_path, name, SIXTEEN[name])


@pytest.mark.parametrize("name", OTHERS)
def test_other_samples_are_refused_by_what_they_are(tmp_path, name):
    content, words = OTHERS[name]
    with pytest.raises(dfa.InvalidInputError, match=f"^{name} must have 8 bits per channel, and {words}"):
        read(tmp_path, name, content)


@pytest.mark.parametrize("name", FINE)
def test_at_most_eight_bits_are_read_as_they_are(tmp_path, name):
    content, pixels = FINE[name]
    assert np.array_equal(read(tmp_path, name, content), pixels)


def test_a_folder_of_them_is_no_run(tmp_path, monkeypatch, capsys):
    here = go_to_workplace(tmp_path, monkeypatch)
    (here / "wide").mkdir()
    (here / "wide" / "my photo.png").write_bytes(png(RGB, 16))
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "wide", "--out", "run")
    assert status == 2
    assert "magick 'my photo.png' -depth 8 '8bit-my photo.png'" in err
