"""Sentence pairs: what is read, and every refusal."""

import re
from pathlib import Path

import numpy as np
import pytest

from nnlut_train.errors import UsageError
from nnlut_train.evaluate import sts

HEADER = "score\tsentence1\tsentence2\n"
IMAGES = Path(__file__).parents[3] / "shared" / "data" / "sts-images"


@pytest.fixture
def write(tmp_path):
    def written(data):
        path = tmp_path / "pairs.tsv"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return written


def test_a_sentence_is_held_once(write):
    pairs = sts.read(write(HEADER + "5\ta cat\ta dog\n0.25\ta dog\ta dog\n"))
    assert pairs.sentences == ("a cat", "a dog")
    assert pairs.first.tolist() == [0, 1]
    assert pairs.second.tolist() == [1, 1]
    assert pairs.scores.tolist() == [5, 0.25]
    assert (pairs.first.dtype, pairs.scores.dtype) == (np.int64, np.float64)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_characters_are_taken_as_they_are(write, end):
    text = f'score\tsentence1\tsentence2{end}1\t"a, b\tc"\x85\u2028d\u00e9{end}2\te\tf'
    pairs = sts.read(write(text))
    assert pairs.sentences == ('"a, b', 'c"\x85\u2028d\u00e9', "e", "f")
    assert sts.read(write(b"\xef\xbb\xbf" + text.encode())).sentences == pairs.sentences


def test_columns_may_stand_in_any_order(write):
    path = write("sentence2\tid\tscore\tsentence1\nb\t7\t3\ta\n")
    assert sts.read(path).sentences == ("a", "b")
    assert sts.read(path).scores.tolist() == [3]


def test_sentences_need_no_scores(write):
    path = write("sentence1\tsentence2\nb\ta\na\tc\n")
    assert sts.read_sentences(path) == ("b", "a", "c")
    assert sts.read_sentences(write(HEADER + "?\tb\ta\n")) == ("b", "a")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "must hold sentence pairs, but is empty"),
        (HEADER, "must hold sentence pairs below its first line, but has none"),
        ("score\tsentence1\n1\ta\n", ", line 1: must name the column sentence2 once"),
        (HEADER.replace("score", "gold"), ", line 1: must name the column score once"),
        ("score\tsentence1\tsentence2\tscore\n", "score, sentence1, sentence2, not 2 times"),
        ("1\ta\tb\n", ", line 1: must name the column score once"),
        (HEADER + "1\ta\tb\n2\tc\n", ", line 3: must have 3 tab-separated columns, not 2"),
        (HEADER + "1\ta\tb\tc\n", ", line 2: must have 3 tab-separated columns, not 4"),
        (HEADER + "1\ta\tb\n\n2\tc\td\n", ", line 3: must have 3 tab-separated columns, not 1"),
        (HEADER + "1\ta\t \n", ", line 2: sentence2 must not be empty"),
        (HEADER + "\ta\tb\n", ", line 2: score must not be empty"),
        (HEADER + "1\ta\tb\nhigh\ta\tb\n", ", line 3: score must be a number from 0 to 5"),
        (HEADER + "5.01\ta\tb\n", "score must be a number from 0 to 5, not '5.01'"),
        (HEADER + "-1\ta\tb\n", "not '-1'"),
        (HEADER + "nan\ta\tb\n", "not 'nan'"),
        (HEADER + "inf\ta\tb\n", "not 'inf'"),
        (HEADER + "0_1\ta\tb\n", "not '0_1'"),
        (HEADER.encode() + b"1\ta\tb\n2\tcaf\xe9 x\tb\n", ", line 3: must be UTF-8"),
    ],
)
def test_a_refusal_names_file_and_line(write, data, message):
    path = write(data)
    with pytest.raises(UsageError, match="^" + re.escape(str(path))) as caught:
        sts.read(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_must_be_readable(tmp_path):
    for path in (tmp_path / "none.tsv", tmp_path):
        with pytest.raises(UsageError, match=re.escape(f"{path}: cannot be read: ")):
            sts.read(path)


@pytest.mark.skipif(not IMAGES.is_dir(), reason="the STS files are kept out of the repository")
@pytest.mark.parametrize("year", [2014, 2015])
def test_the_sets_of_images_are_read(year):
    pairs = sts.read(IMAGES / f"sts{year}-images.tsv")
    assert pairs.scores.size == 750
    assert pairs.scores.min() >= 0
    assert set(sts.read_sentences(IMAGES / f"sts{year}-images.tsv")) == set(pairs.sentences)
