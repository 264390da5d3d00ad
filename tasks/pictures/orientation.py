"""The orientation that a camera notes in EXIF, read from a file's bytes. No Pillow, no TensorFlow.

`turning.py` reads the same in a TensorFlow graph, by the same rules; a test holds the two together.
"""

import struct

UPRIGHT, LAST = 1, 8
EXIF_HEADER = b"Exif\0\0"
# Values 2 to 8 (Exif 2.32, 4.6.4 A): the pixels are transposed, or not, and then mirrored.
SIDEWAYS = (5, 6, 7, 8)  # rows and columns change places …
MIRRORED = (2, 3, 6, 7)  # … then left and right …
FLIPPED = (3, 4, 7, 8)  # … and top and bottom.

ORIENTATION_TAG = 0x0112
SHORT = 3  # TIFF's number for 16-bit integers
ENTRY_BYTES = 12
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
MOST_HEADER = 10  # bytes of a segment up to the end of EXIF's header: marker 2, length 2, header 6
ALONE = (0x01, *range(0xD0, 0xD8))  # markers without a length: TEM and RST
NO_MORE_SEGMENTS = (0xD8, 0xD9, 0xDA)  # SOI, EOI, and SOS, behind which the picture itself begins
APP1 = 0xE1


def jpeg_orientation(encoded: bytes) -> int:
    """Read the orientation of a JPEG: 1 to 8, and 1, upright, for whatever says nothing or makes no sense."""
    place = 2
    while place + MOST_HEADER <= len(encoded) and encoded[place] == 0xFF:
        marker = encoded[place + 1]
        if marker == 0xFF:  # fills a gap
            place += 1
        elif marker in ALONE:
            place += 2
        elif marker in NO_MORE_SEGMENTS:
            return UPRIGHT
        else:
            end = place + 2 + int.from_bytes(encoded[place + 2 : place + 4])
            if marker == APP1 and encoded[place + 4 : place + MOST_HEADER] == EXIF_HEADER:
                return exif_orientation(encoded[place + MOST_HEADER : end])
            place = end
    return UPRIGHT


def exif_orientation(tiff: bytes) -> int:
    """Read the orientation in EXIF's content, which has the form of a TIFF file, and where the first entry counts."""
    order = BYTE_ORDERS.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return UPRIGHT
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    if directory + 2 > len(tiff):
        return UPRIGHT
    (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for place in range(directory + 2, min(directory + 2 + entries * ENTRY_BYTES, len(tiff) - 11), ENTRY_BYTES):
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, place)
        if tag == ORIENTATION_TAG:
            return value if kind == SHORT and count == 1 and UPRIGHT <= value <= LAST else UPRIGHT
    return UPRIGHT
