"""PNGs of a run folder: those that dfa writes, and none that another decoder could read otherwise."""

from __future__ import annotations

import struct
import time
import zlib

import numpy as np
import pytest

import dfa
from dfa.runs.image_files import decode_image
from dfa.runs.png import decode_png, encode_png
from oracles import LinearClassifier, random_images

SHAPE = (6, 5, 3)
IMAGE = random_images(1, SHAPE)[0]
HEADER = (5, 6, 8, 2, 0, 0, 0)
ROWS = b"".join(b"\0" + row.tobytes() for row in IMAGE)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(*fields):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *fields))


def png(*chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def pixels(rows=ROWS):
    return chunk(b"IDAT", zlib.compress(rows))


END = chunk(b"IEND", b"")
FRAME = chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 5, 3, 0, 0, 1, 1, 0, 0))
WRONG_SUM = pixels()[:-1] + bytes([pixels()[-1] ^ 1])
HALF = len(zlib.compress(ROWS)) // 2


@pytest.mark.parametrize("shape", [(6, 5, 1), (6, 5, 3), (6, 5, 4), (1, 1, 1), (300, 200, 3)])
def test_what_dfa_writes_it_reads(shape):
    for image in (random_images(1, shape)[0], np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)):
        for given in (shape, None):
            np.testing.assert_array_equal(decode_png(encode_png(image), given, most=2**20), image)


def test_pixels_may_lie_in_several_chunks():
    packed = zlib.compress(ROWS)
    parts = chunk(b"IDAT", packed[:HALF]) + chunk(b"IDAT", packed[HALF:])
    np.testing.assert_array_equal(decode_png(png(header(*HEADER), parts, END), SHAPE, most=0), IMAGE)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (png(header(*HEADER), FRAME, pixels(), END), "it holds a chunk 'acTL'"),
        (png(header(*HEADER), header(5, 6, 16, 2, 0, 0, 0), pixels(), END), "it holds a chunk 'IHDR'"),
        (png(header(*HEADER), chunk(b"tRNS", b"\0" * 6), pixels(), END), "it holds a chunk 'tRNS'"),
        (png(header(*HEADER), pixels(), chunk(b"tEXt", b"a\0b"), pixels(), END), "it holds a chunk 'tEXt'"),
        (png(header(*HEADER), WRONG_SUM, END), "a checksum is wrong"),
        (png(header(*HEADER), pixels()), "it is cut off"),
        (png(header(*HEADER), pixels(), END[:-3]), "it is cut off"),
        (png(header(*HEADER), pixels(), END, b"more"), "it is cut off"),
        (png(header(*HEADER), pixels(), END, END), "it holds a chunk 'IEND'"),
        (png(header(*HEADER), pixels(), END, pixels()), "it holds a chunk 'IEND'"),
        (png(header(*HEADER), pixels(), chunk(b"IEND", b"x")), "it is cut off"),
        (png(pixels(), END), "its header is damaged"),
        (png(), "its header is damaged"),
        (png(header(*HEADER[:-1], 1), pixels(), END), "it is interlaced"),
        (png(header(*HEADER), pixels(ROWS + b"\0"), END), "its pixels must be 96 bytes"),
        (png(header(*HEADER), pixels(ROWS[:-1]), END), "its pixels must be 96 bytes"),
        (png(header(*HEADER), chunk(b"IDAT", zlib.compress(ROWS) + b"x"), END), "its pixels must be 96 bytes"),
        (png(header(*HEADER), chunk(b"IDAT", zlib.compress(ROWS)[:-1]), END), "its pixels must be 96 bytes"),
        (png(header(*HEADER), chunk(b"IDAT", b"no zlib"), END), "its pixels cannot be unpacked"),
        (png(header(*HEADER), pixels(b"\5" + ROWS[1:]), END), "a row is filtered in an unknown way"),
        (png(header(*HEADER), END), "its pixels must be 96 bytes"),
    ],
)
def test_any_other_png_is_refused(content, problem):
    with pytest.raises(ValueError, match=f"is not a PNG that dfa writes: {problem}"):
        decode_png(content, SHAPE, most=0)


def test_a_file_that_unpacks_to_far_more_than_its_image_is_not_unpacked(tmp_path):
    rows = zlib.compress(bytes(2**27), 9)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "000000.png").write_bytes(png(header(*HEADER), chunk(b"IDAT", rows), END))
    begun = time.perf_counter()
    assert "must be 96 bytes" in decode_image(tmp_path, "images/000000.png", SHAPE)[1]
    assert time.perf_counter() - begun < 0.5


def test_verify_and_loading_refuse_a_png_that_decoders_read_differently(tmp_path):
    shape = (6, 6, 3)
    classifier = LinearClassifier(shape)
    dfa.run(classifier, random_images(4, shape), epsilon=20, progress=False, store=tmp_path)
    result = dfa.Result.load(tmp_path)
    index = result.images.held()[0]
    path = tmp_path / "images" / f"{index:06d}.png"
    content = path.read_bytes()
    path.write_bytes(content[:33] + FRAME + content[33:])
    findings = dfa.verify(tmp_path, classifier).findings
    assert [(each.index, each.check) for each in findings] == [(index, "file")]
    with pytest.raises(dfa.StoreError, match="is not a PNG that dfa writes: it holds a chunk 'acTL'"):
        dfa.Result.load(tmp_path).images[index]
