"""Image files of every kind, and damaged ones, for the tests of pictures."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.ingest.pictures import deep_png, encode, picture

END_OF_JPEG = b"\xff\xd9"


def exif(
    orientation: int, order: str = "<", *, tag: int = 0x0112, kind: int = 3, count: int = 1, directory: int = 8
) -> bytes:
    """EXIF's content with one entry, in either byte order."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return head + struct.pack(f"{order}IHHHIHxxI", directory, 1, tag, kind, count, orientation, 0)


def with_exif(content: bytes, encoded: bytes | None = None) -> bytes:
    """A JPEG with these bytes as its EXIF."""
    encoded = encode(picture()) if encoded is None else encoded
    segment = b"Exif\0\0" + content
    return encoded[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + encoded[2:]


def with_alpha(seed: int = 0, size: tuple[int, int] = (20, 14), mode: str = "RGB") -> Image.Image:
    image = picture(seed, size, mode)
    image.putalpha(Image.linear_gradient("L").resize(size))
    return image


def deep(seed: int, size: tuple[int, int], *, colour: bool) -> bytes:
    shape = (*size[::-1], 3) if colour else size[::-1]
    return deep_png(np.random.default_rng(seed).integers(0, 65536, shape, dtype=np.uint16))


def animated(format_name: str, seed: int, size: tuple[int, int], mode: str = "RGB") -> bytes:
    frames = [picture(seed, size, mode), picture(seed + 1, size, mode)]
    return encode(frames[0], format_name, save_all=True, append_images=frames[1:])


def every_kind(seed: int, size: tuple[int, int]) -> dict[str, bytes]:
    """One whole file of each kind, by a name whose ending is the format's."""
    plain = picture(seed, size)
    jpeg = encode(plain)
    return {
        "colour.jpg": jpeg,
        "full chroma.jpg": encode(plain, subsampling=0),
        "progressive.jpg": encode(plain, progressive=True),
        "grey.jpg": encode(plain.convert("L")),
        "cmyk.jpg": encode(plain.convert("CMYK")),
        **{f"turned {turn}.jpg": with_exif(exif(turn, "<"), jpeg) for turn in range(2, 9)},
        **{f"turned {turn} big endian.jpg": with_exif(exif(turn, ">"), jpeg) for turn in range(2, 9)},
        "grey and turned.jpg": with_exif(exif(6), encode(plain.convert("L"))),
        "second picture.jpg": encode(plain, "MPO", save_all=True, append_images=[picture(seed + 1, size)]),
        "colour.png": encode(plain, "PNG"),
        "grey.png": encode(plain.convert("L"), "PNG"),
        "palette.png": encode(plain.convert("P"), "PNG"),
        "bits.png": encode(plain.convert("1"), "PNG"),
        "alpha.png": encode(with_alpha(seed, size), "PNG"),
        "grey alpha.png": encode(with_alpha(seed, size, "L"), "PNG"),
        "clear colour.png": encode(plain, "PNG", transparency=(0, 0, 0)),
        "deep.png": deep(seed, size, colour=True),
        "grey deep.png": deep(seed, size, colour=False),
        "tagged.png": encode(plain, "PNG", exif=b"Exif\0\0" + exif(6)),
        "animated.png": animated("PNG", seed, size),
        "colour.gif": encode(plain.convert("P"), "GIF"),
        "animated.gif": animated("GIF", seed, size, "P"),
        "clear.gif": encode(plain.convert("P"), "GIF", transparency=3),
        "colour.bmp": encode(plain, "BMP"),
        "alpha.bmp": encode(with_alpha(seed, size), "BMP"),
        "palette.bmp": encode(plain.convert("P"), "BMP"),
        "bits.bmp": encode(plain.convert("1"), "BMP"),
        "colour.webp": encode(plain, "WEBP"),
        "lossless.webp": encode(plain, "WEBP", lossless=True),
        "alpha.webp": encode(with_alpha(seed, size), "WEBP"),
        "turned.webp": encode(plain, "WEBP", exif=exif(6)),
        "animated.webp": animated("WEBP", seed, size),
    }


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Damaged files, each with the name of the kind that it was."""
    chance = random.Random(seed)
    kinds = list(every_kind(seed, (37, 23)).items())
    for number in range(count):
        name, encoded = kinds[number % len(kinds)]
        ways = [flipped, cut, cut_with_an_end] if name.endswith(".jpg") else [flipped, cut]
        if name.endswith(".png"):
            ways += [without_a_chunk, with_a_chunk_twice, with_an_unknown_chunk, with_too_little_data]
        yield name, chance.choice(ways)(encoded, chance)


def flipped(encoded: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(encoded)
    reach = chance.choice([32, 200, len(encoded)])  # headers are where it matters
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        damaged[chance.randrange(min(reach, len(encoded)))] = chance.randrange(256)
    return bytes(damaged)


def cut(encoded: bytes, chance: random.Random) -> bytes:
    return encoded[: chance.randrange(1, len(encoded))]


def cut_with_an_end(encoded: bytes, chance: random.Random) -> bytes:
    return cut(encoded, chance) + END_OF_JPEG


def chunks_of(encoded: bytes) -> list[tuple[bytes, bytes]]:
    """Names and contents of a whole PNG's chunks."""
    found, place = [], 8
    while place < len(encoded):
        length = int.from_bytes(encoded[place : place + 4])
        found.append((encoded[place + 4 : place + 8], encoded[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    stream = io.BytesIO()
    stream.write(b"\x89PNG\r\n\x1a\n")
    for name, content in chunks:
        stream.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))
    return stream.getvalue()


def without_a_chunk(encoded: bytes, chance: random.Random) -> bytes:
    chunks = chunks_of(encoded)
    del chunks[chance.randrange(len(chunks))]
    return png_of(chunks)


def with_a_chunk_twice(encoded: bytes, chance: random.Random) -> bytes:
    chunks = chunks_of(encoded)
    chunks.insert(chance.randrange(len(chunks) + 1), chance.choice(chunks))
    return png_of(chunks)


def with_an_unknown_chunk(encoded: bytes, chance: random.Random) -> bytes:
    chunks = chunks_of(encoded)
    chunks.insert(chance.randrange(1, len(chunks)), (chance.choice([b"ABCD", b"abCd"]), b"what is this?"))
    return png_of(chunks)


def with_too_little_data(encoded: bytes, chance: random.Random) -> bytes:
    chunks = chunks_of(encoded)
    pixels = zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT"))
    short = (b"IDAT", zlib.compress(pixels[: chance.randrange(len(pixels))]))
    rest = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    return png_of([*rest[:-1], short, rest[-1]])
