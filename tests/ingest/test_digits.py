import hashlib

import numpy as np
from sklearn.datasets import load_digits

from tests.ingest.pictures import NO_HOME, decode, digest_afresh
from thaw.pipeline_config.dataset_schema import DigitsSource
from thaw.tasks.ingest.sources import open_source

DIGITS = DigitsSource(kind="digits")


def test_there_are_1797_images_of_ten_classes_in_one_split():
    source = open_source(DIGITS, NO_HOME)
    found = list(source.examples())
    assert source.splits() == {"train"}
    assert source.classes() == tuple("0123456789")
    assert len(found) == source.count() == 1797
    assert found[1].origin == "digits/00001"
    assert [example.class_name for example in found[:12]] == list("012345678901")


def test_the_pixels_are_those_of_the_library_scaled_to_bytes():
    source = open_source(DIGITS, NO_HOME)
    values = load_digits().images
    for index in (0, 1, 1796):
        pixels = decode(source.read_again(f"digits/{index:05d}"))
        assert pixels.shape == (8, 8, 3)
        assert np.abs(pixels[..., 0] - values[index] * 255 / 16).max() <= 0.5
    assert max(decode(example.read()).max() for example in list(source.examples())[:5]) == 255


def test_the_files_are_the_same_everywhere():
    digest = hashlib.sha256(b"".join(example.read() for example in open_source(DIGITS, NO_HOME).examples()))
    assert digest.hexdigest() == "99bc00270a852e7abb9392c880d71140b8db2985c1b9e6dd215edb3aa2bd7138"
    assert digest_afresh(DIGITS) == "359b45af53f73c0925abb55bd4ce513101a54116b6a5f99864a9cd26d75ea206"
