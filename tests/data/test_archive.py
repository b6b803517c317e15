import numpy as np
import pytest

from quadgate.data.archive import read_archive
from quadgate.errors import InputError


def test_japanese_vowels_keeps_its_parts_and_lengths():
    data = read_archive("JapaneseVowels")
    assert data.train.describe() == "270 cases x 7 to 26 steps x 12 channels, 9 classes"
    assert data.test.describe() == "370 cases x 7 to 29 steps x 12 channels, 9 classes"
    assert data.train.classes.tolist() == list(range(1, 10))
    np.testing.assert_array_equal(data.train.series[0][0, :2], np.float32([1.860936, -0.207383]))


def test_basic_motions_keeps_the_spelling_of_its_classes():
    data = read_archive("BasicMotions")
    assert data.train.describe() == data.test.describe() == "40 cases x 100 steps x 6 channels, 4 classes"
    assert data.train.classes.tolist() == ["Badminton", "Running", "Standing", "Walking"]
    assert np.float32(0.079106) == data.train.series[0][0, 0]


def test_what_aeon_downloaded_is_found(tmp_path, monkeypatch):
    folder = tmp_path / "Mine"
    folder.mkdir()
    for part, labels in (("TRAIN", "ab"), ("TEST", "b")):
        rows = "".join(f"1,2,3:{label}\n" for label in labels)
        header = "@univariate true\n@equalLength true\n@classLabel true a b\n@data\n"
        (folder / f"Mine_{part}.ts").write_text(header + rows, encoding="utf-8")
    monkeypatch.setenv("AEON_DATA", str(tmp_path))
    data = read_archive("Mine")
    assert (len(data.train), len(data.test)) == (2, 1)


def test_an_unknown_name_is_met_with_the_nearest_and_the_way_to_download(tmp_path, monkeypatch):
    monkeypatch.setenv("AEON_DATA", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"did you mean 'JapaneseVowels'.*load_classification\('JapanesVowels'\)"):
        read_archive("JapanesVowels")
