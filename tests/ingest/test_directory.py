import os

import pytest

from tests.ingest.pictures import NO_HOME, digest_afresh, directory, fill, jpeg
from thaw.pipeline_config.errors import DatasetError
from thaw.tasks.ingest.sources import open_source


def examples(folder):
    return list(open_source(directory(folder), NO_HOME).examples())


def test_class_folders_are_classes_of_one_split(tmp_path):
    fill(tmp_path, {"dogs": 2, "cats": 1})
    source = open_source(directory(tmp_path), NO_HOME)
    assert source.splits() == {"train"}
    assert source.classes() == ("cats", "dogs")
    assert source.count() == 3
    assert [(e.origin, e.class_name, e.split) for e in source.examples()] == [
        ("cats/0002.jpg", "cats", "train"),
        ("dogs/0000.jpg", "dogs", "train"),
        ("dogs/0001.jpg", "dogs", "train"),
    ]
    assert next(source.examples()).read() == jpeg(2) == source.read_again("cats/0002.jpg")


def test_classes_are_in_code_point_order(tmp_path):
    fill(tmp_path, {"b": 1, "B": 1, "ä": 1, "10": 1, "9": 1})
    assert open_source(directory(tmp_path), NO_HOME).classes() == ("10", "9", "B", "b", "ä")


@pytest.mark.parametrize("name", ["validation", "valid", "val", "Validation", "VAL"])
def test_folders_named_like_splits_are_splits(tmp_path, name):
    fill(tmp_path, {"train/cats": 1, "train/dogs": 1, f"{name}/cats": 1, f"{name}/dogs": 1})
    source = open_source(directory(tmp_path), NO_HOME)
    assert source.splits() == {"train", "validation"}
    assert source.classes() == ("cats", "dogs")
    assert {(e.origin.split("/")[0], e.split) for e in source.examples()} == {("train", "train"), (name, "validation")}


def test_files_in_folders_inside_a_class_folder_belong_to_the_class(tmp_path):
    fill(tmp_path, {"cats": 1, "cats/kittens/small": 1, "dogs": 1})
    assert [(e.origin, e.class_name) for e in examples(tmp_path)] == [
        ("cats/0000.jpg", "cats"),
        ("cats/kittens/small/0001.jpg", "cats"),
        ("dogs/0002.jpg", "dogs"),
    ]


def test_hidden_files_and_files_beside_the_class_folders_are_left_out(tmp_path):
    fill(tmp_path, {"cats": 1, "dogs": 1, ".cache": 1, "__MACOSX/cats": 1, "cats/.thumbnails": 1})
    for litter in ("README.txt", "cats/.DS_Store", "cats/Thumbs.db", "dogs/._0001.jpg"):
        (tmp_path / litter).write_bytes(b"litter")
    assert [e.origin for e in examples(tmp_path)] == ["cats/0000.jpg", "dogs/0001.jpg"]


def test_links_to_files_and_to_class_folders_are_followed(tmp_path):
    fill(tmp_path / "elsewhere", {"dogs": 1})
    fill(tmp_path / "data", {"cats": 1})
    (tmp_path / "data" / "cats" / "link.jpg").symlink_to(tmp_path / "elsewhere" / "dogs" / "0000.jpg")
    (tmp_path / "data" / "dogs").symlink_to(tmp_path / "elsewhere" / "dogs")
    assert [e.origin for e in examples(tmp_path / "data")] == ["cats/0000.jpg", "cats/link.jpg", "dogs/0000.jpg"]
    assert open_source(directory(tmp_path / "data"), NO_HOME).read_again("cats/link.jpg") == jpeg(0)


def test_a_missing_folder_a_file_and_an_empty_folder_are_errors(tmp_path):
    with pytest.raises(
        DatasetError, match=r"nowhere: No such file or directory\. Expected a folder with class folders"
    ):
        digest_afresh(directory(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file is a file\. Expected"):
        digest_afresh(directory(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"empty has no folders in it\. Expected class folders"):
        digest_afresh(directory(tmp_path / "empty"))


def test_images_without_class_folders_are_an_error(tmp_path):
    fill(tmp_path, {".": 3})
    with pytest.raises(DatasetError, match="no folders"):
        digest_afresh(directory(tmp_path))
    fill(tmp_path / "split", {"train": 3, "test/cats": 1})
    with pytest.raises(DatasetError, match="train has no class folders in it"):
        digest_afresh(directory(tmp_path / "split"))


@pytest.mark.parametrize("name", ["birds", "train/birds"])
def test_an_empty_class_folder_is_an_error(tmp_path, name):
    fill(tmp_path, {name.replace("birds", "cats"): 1, name: 0})
    (tmp_path / name / ".DS_Store").write_bytes(b"litter")
    with pytest.raises(DatasetError, match="birds has no files in it"):
        digest_afresh(directory(tmp_path))


def test_splits_mixed_with_classes_are_an_error(tmp_path):
    fill(tmp_path, {"train/cats": 1, "cats": 1})
    with pytest.raises(DatasetError, match=r"mixes folders of splits \(train\) with other folders \(cats\)"):
        digest_afresh(directory(tmp_path))


def test_two_folders_for_one_split_are_an_error(tmp_path):
    fill(tmp_path, {"train/cats": 1, "val/cats": 1, "validation/cats": 1})
    with pytest.raises(DatasetError, match="2 folders for validation: val, validation"):
        digest_afresh(directory(tmp_path))


def test_a_name_that_is_not_utf8_is_an_error(tmp_path):
    fill(tmp_path, {"cats": 1, "dogs": 1})
    try:
        (tmp_path / "cats" / os.fsdecode(b"\xff.jpg")).write_bytes(jpeg())
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(DatasetError, match="not valid UTF-8"):
        digest_afresh(directory(tmp_path))


def test_the_digest_follows_content_and_names_and_nothing_else(tmp_path):
    one, other = (fill(tmp_path / name, {"dogs": 3, "cats": 3}) for name in ("one", "other"))
    digest = digest_afresh(directory(one))
    os.utime(other / "cats" / "0003.jpg", (0, 0))
    (other / "cats" / ".DS_Store").write_bytes(b"litter")
    assert digest_afresh(directory(other)) == digest

    image = other / "cats" / "0003.jpg"
    image.write_bytes(jpeg(99))
    changed = digest_afresh(directory(other))
    image.write_bytes(jpeg(3))
    image.rename(other / "dogs" / "0003.jpg")
    moved = digest_afresh(directory(other))
    assert len({digest, changed, moved}) == 3


def test_a_file_that_cannot_be_read_has_a_digest_too(tmp_path):
    fill(tmp_path, {"cats": 1, "dogs": 1})
    before = digest_afresh(directory(tmp_path))
    (tmp_path / "cats" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    broken = digest_afresh(directory(tmp_path))
    assert broken != before
    assert broken == digest_afresh(directory(tmp_path))


def test_a_pipe_in_a_class_folder_keeps_nobody_waiting(tmp_path):
    fill(tmp_path, {"cats": 1, "dogs": 1})
    os.mkfifo(tmp_path / "cats" / "pipe.jpg")
    digest_afresh(directory(tmp_path))
    with pytest.raises(OSError, match="Not a regular file"):
        open_source(directory(tmp_path), NO_HOME).read_again("cats/pipe.jpg")
