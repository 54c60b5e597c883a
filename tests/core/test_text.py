"""Names from elsewhere, as terminals and lists can hold them."""

import json
import logging

import numpy as np
import pytest

from jslim.cli import export, reports, run
from jslim.core.errors import DataError
from jslim.core.text import is_one_line, json_line, printable, unique_names
from jslim.data.tfrecord_datasets import read_label_file, write_label_file

BREAKS = ["\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


def test_what_a_terminal_would_obey_is_escaped():
    text = "caf\xe9 \x1b[31m \x9b \x7f \u2028 \u202e \udcea \ufeff \U0001f600"
    assert printable(text) == (
        r"café \x1b[31m \x9b \x7f \u2028 \u202e \udcea \ufeff " + "\U0001f600"
    )
    assert printable("a\nb\tc\rd", keep="\n\t") == "a\nb\tc\\rd"
    assert json.loads(json_line({"x": text})) == {"x": text}
    assert json_line("\x9b\xe9") == '"\\u009b\xe9"\n'
    assert json_line("\x9b\xe9", "ascii") == '"\\u009b\\u00e9"\n'


def test_names_that_come_twice_get_their_index():
    assert unique_names(["cat", "dog"]) == ["cat", "dog"]
    assert unique_names(["crane", "cat", "crane"]) == ["crane (0)", "cat", "crane (2)"]
    assert unique_names(["a", "a", "a (1)"]) == ["a (0)", "a (1) (1)", "a (1)"]


@pytest.mark.parametrize("sign", BREAKS)
def test_a_class_name_with_a_line_break_is_not_written(sign, tmp_path):
    assert not is_one_line(f"a{sign}")
    for name in (f"a{sign}b", f"a{sign}"):
        with pytest.raises(DataError, match=r"cannot hold the class 'a.*', which is two lines"):
            write_label_file({0: name}, tmp_path)
    assert not (tmp_path / "labels.txt").exists()
    (tmp_path / "labels.txt").write_text(f"0:a{sign}1:b\n", newline="")
    if sign == "\n":
        assert read_label_file(tmp_path / "labels.txt") == {0: "a", 1: "b"}
    else:
        with pytest.raises(DataError, match=r"line 1 of '.*' must be LABEL:NAME"):
            read_label_file(tmp_path / "labels.txt")


def test_lines_of_a_labels_file_may_end_as_on_windows(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"0:a\r\n1:b\r\n")
    assert read_label_file(tmp_path / "labels.txt") == {0: "a", 1: "b"}


def test_a_labels_file_that_is_none_is_named(tmp_path):
    (tmp_path / "labels.txt").write_bytes(b"0:\xff\n")
    with pytest.raises(DataError, match=r"labels.txt' is not in UTF-8 .invalid start byte"):
        read_label_file(tmp_path / "labels.txt")
    with pytest.raises(DataError, match=r"cannot be read \(it is a folder, not a file\)"):
        read_label_file(tmp_path)
    (tmp_path / "labels.txt").write_text("9" * 5000 + ":a\n")
    with pytest.raises(DataError, match="must be LABEL:NAME"):
        read_label_file(tmp_path / "labels.txt")


def test_tables_tell_classes_of_one_name_apart_and_print_no_escapes(tmp_path):
    matrix, names = np.eye(3), ["crane", "\x1b[2J\n", "crane"]
    for table in (reports.per_class_table(matrix, names), reports.matrix_table(matrix, names)):
        assert "crane (0)" in table
        assert "crane (2)" in table
        assert r"\x1b[2J\n" in table
        assert "\x1b" not in table
    reports.save_matrix_image(str(tmp_path / "x.png"), matrix, names)
    for path in (tmp_path / "x.csv", tmp_path / "x.jsonl"):
        logits, labels = np.eye(3) * 5, np.arange(3)
        reports.write_predictions(str(path), ["a", "b", "c\udcea"], names, logits, labels)
        text = path.read_text("utf-8")
        assert "crane (0)" in text
        assert "crane (2)" in text


def test_logs_and_errors_print_no_escapes(capsys, monkeypatch):
    logger = logging.getLogger("jslim")
    for name, value in (("handlers", []), ("propagate", True), ("level", logger.level)):
        monkeypatch.setattr(logger, name, value)

    def program(config):
        logger.info("read %s\nwell", "\x1b[2J")
        raise DataError("no \x9b file")

    assert run.run(program, export.ExportConfig, ["x.py", "--compilation_cache_dir="]) == 2
    assert capsys.readouterr().err == "read \\x1b[2J\nwell\nx.py: no \\x9b file\n"
