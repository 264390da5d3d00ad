"""The orientation of a JPEG in a TensorFlow graph: read from its bytes by the rules of `orientation.py`, and applied.

Loops are TensorFlow's own, not Python's, because an exported graph is traced without AutoGraph.
"""

from collections.abc import Sequence

import tensorflow as tf

from thaw.tasks.pictures import orientation as rules

_LITTLE, _BIG = rules.BYTE_ORDERS


def orientation_of(encoded: tf.Tensor) -> tf.Tensor:
    """Read the orientation of a JPEG, string (), as `jpeg_orientation` does: int32 (), 1 to 8."""
    size, header = tf.strings.length(encoded), rules.MOST_HEADER

    def is_left(place: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        return place + header <= size

    def next_segment(place: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        head = tf.strings.substr(encoded, place, header)
        octets = tf.cast(tf.reshape(tf.io.decode_raw(head, tf.uint8), [header]), tf.int32)
        marker, following = octets[1], place + 2 + 256 * octets[2] + octets[3]
        is_marker = octets[0] == 0xFF
        is_exif = is_marker & (marker == rules.APP1) & (tf.strings.substr(head, 4, 6) == rules.EXIF_HEADER)
        step = tf.where(marker == 0xFF, place + 1, tf.where(_is_in(marker, rules.ALONE), place + 2, following))
        is_last = is_exif | ~is_marker | _is_in(marker, rules.NO_MORE_SEGMENTS)
        return (
            tf.where(is_last, size, step),
            tf.where(is_exif, place + header, start),
            tf.where(is_exif, following, end),
        )

    _, start, end = tf.while_loop(is_left, next_segment, [tf.constant(2), tf.constant(0), tf.constant(0)])
    return _exif_orientation(tf.strings.substr(encoded, start, tf.maximum(end - start, 0)))


def _exif_orientation(tiff: tf.Tensor) -> tf.Tensor:
    order = tf.strings.substr(tiff, 0, 4)
    is_little = order == _LITTLE
    octets = tf.cast(tf.io.decode_raw(tiff, tf.uint8), tf.int64)
    size = tf.size(octets, tf.int64)
    padded = tf.concat([octets, tf.zeros([2 * rules.ENTRY_BYTES], tf.int64)], axis=0)  # a read beyond the end gives 0

    def number(digits: tf.Tensor) -> tf.Tensor:
        powers = tf.constant([256**place for place in range(digits.shape[-1])], tf.int64)
        return tf.reduce_sum(digits * tf.where(is_little, powers, powers[::-1]), axis=-1)

    directory = number(tf.ensure_shape(padded[4:8], [4]))
    is_sound = (is_little | (order == _BIG)) & (size >= 8) & (directory + 2 <= size)
    first = tf.where(is_sound, directory + 2, 2)
    claimed = number(tf.ensure_shape(padded[first - 2 : first], [2]))
    count = tf.where(is_sound, tf.minimum(claimed, (size - first) // rules.ENTRY_BYTES), 0)
    # One row more, of whatever follows, so that there is always one; it does not count.
    rows = tf.reshape(padded[first : first + (count + 1) * rules.ENTRY_BYTES], [-1, rules.ENTRY_BYTES])
    is_wanted = (number(rows[:, :2]) == rules.ORIENTATION_TAG) & (tf.range(tf.size(rows[:, 0], tf.int64)) < count)
    row = tf.argmax(tf.cast(is_wanted, tf.int32))
    entry = tf.gather(rows, row)
    value = number(entry[8:10])
    is_one_short = (number(entry[2:4]) == rules.SHORT) & (number(entry[4:8]) == 1)
    is_known = is_wanted[row] & is_one_short & (value >= rules.UPRIGHT) & (value <= rules.LAST)
    return tf.cast(tf.where(is_known, value, rules.UPRIGHT), tf.int32)


def turn(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn an image, (height, width, 3), upright; `orientation` is int32 (), 1 to 8."""

    def turned() -> tf.Tensor:
        order = tf.where(_is_in(orientation, rules.SIDEWAYS), [1, 0, 2], [0, 1, 2])
        is_reversed = [_is_in(orientation, rules.FLIPPED), _is_in(orientation, rules.MIRRORED)]
        return tf.reverse(tf.transpose(image, order), tf.boolean_mask([0, 1], is_reversed))

    return tf.cond(orientation == rules.UPRIGHT, lambda: image, turned)


def _is_in(value: tf.Tensor, values: Sequence[int]) -> tf.Tensor:
    return tf.reduce_any(value == tf.constant(values))
