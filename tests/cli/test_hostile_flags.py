"""Flags, flag files, lists of labels, terminals and platforms that are not as they should be."""

import io
import os
import subprocess
import sys

import pytest

from jslim.cli import run as running
from jslim.cli import train
from jslim.cli.flagfiles import expanded
from jslim.core.errors import DataError
from jslim.data.labels import read_class_names, read_label_file, write_label_file


def test_flags_of_files_stand_in_place_of_them(tmp_path):
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("# of the model\n\n--model_name=lenet\r\n")
    outer.write_text(f"\ufeff--batch_size=3\n--flagfile={inner}\n// end\n--seed=1", "utf-8")
    assert expanded(["--a", "--flagfile", str(outer), "--b", f"-flagfile={inner}"]) == [
        "--a", "--batch_size=3", "--model_name=lenet", "--seed=1", "--b", "--model_name=lenet"
    ]  # fmt: skip
    assert expanded(["--flagfile=", "x", "--", "--flagfile=y"]) == ["x", "--", "--flagfile=y"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"--seed=\xff", "is not in UTF-8 (invalid start byte at byte 7)"),
        (b"--flagfile=self", "flag files name each other more than 10 deep; does one lead to its"),
        (b"--batch_size=%d" % 10**20, "--batch_size must be a number of 64 bits, got 100000000000"),
        (b"--seed=%d" % 10**20, "is not an integer in the range [0, 18446744073709551615]"),
        (b"--flagfile=a\0b", "--flagfile must be a path, without a zero byte, got"),
        (b"--seed=" + b"9" * 5000, "--seed"),
        (
            b"--" + b"x" * 10_000,
            "--flagfile: --xxxxxxxxxxxxxxxxxx... has 10002 letters, as no flag",
        ),
        (
            b"--nofreeze_batch_norm=3",
            "--nofreeze_batch_norm=3 does not take an argument; it stands",
        ),
        (b"--flagfile", "--flagfile needs a file: --flagfile=FILE"),
        (b"--seed=1\n" * 10_001, "--flagfile: there are more than 10000 flags"),
        (None, "cannot be read: it is a named pipe, not a file"),
    ],
)
def test_flag_files_that_are_none(tmp_path, monkeypatch, capfd, content, message):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("self") if content is None else (tmp_path / "self").write_bytes(content)
    assert train.main(["train.py", "--flagfile=self"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("train.py: ")
    assert message in line


def test_lists_of_labels(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeff0:é\n 1 : b:c \n".encode())
    assert read_label_file(path) == {0: "é", 1: "b:c"}
    assert read_class_names(path) == ["é", "b:c"]
    path.write_text("0:a\n\n1:b\n")
    assert read_class_names(path) == ["a", "b"]
    with pytest.raises(DataError, match=r"cannot hold the class 'a\\u2028b', which is two lines"):
        write_label_file({0: "a\u2028b"}, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0:\xe4", r"is not in UTF-8 \(unexpected end of data at byte 2\); convert it"),
        (
            b"9" * 5000 + b":a",
            r"line 1 of '.*' must be LABEL:NAME with a label of its own, got '9",
        ),
        ("²:a".encode(), r"line 1 of '.*' must be LABEL:NAME"),
        (None, r"cannot be read \(it is a named pipe, not a file\)"),
        (b" " * ((1 << 24) + 1), r"it has 16777217 bytes, more than the limit of 16777216; JSLIM"),
    ],
)
def test_lists_of_labels_that_are_none(tmp_path, content, message):
    path = tmp_path / "labels.txt"
    os.mkfifo(path) if content is None else path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_label_file(path)
    if content and content.startswith(b" "):
        with pytest.raises(DataError, match=message):
            read_class_names(path)


def test_a_terminal_without_the_letters_gets_escapes(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))
    running.print_whatever_the_encoding()
    print("käse \udcff")
    assert written.getvalue() == b"k\\xe4se \\udcff\n"


def test_a_fault_of_the_input_is_one_sentence_or_a_traceback(tmp_path, monkeypatch, capsys):
    flags = ["train.py", "--dataset_name=folder", f"--dataset_dir={tmp_path / 'none'}"]
    flags += ["--model_name=lenet", f"--train_dir={tmp_path / 'run'}"]
    assert train.main(flags) == 2
    said = capsys.readouterr().err
    assert "none' does not exist" in said
    assert "Traceback" not in said
    monkeypatch.setenv("JSLIM_TRACEBACK", "1")
    with pytest.raises(DataError, match="does not exist"):
        train.main(flags)


@pytest.mark.long
def test_a_platform_that_is_not_there_is_said(tmp_path):
    flags = ["--dataset_name=digits", "--model_name=lenet", "--train_image_size=8"]
    done = subprocess.run(
        [sys.executable, "-c", "from jslim.cli import train; exit(train.main())", *flags,
         f"--train_dir={tmp_path / 'run'}"],
        env=os.environ | {"JAX_PLATFORMS": "none_such"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "JAX_PLATFORMS=none_such in the environment, where JAX cannot start: " in done.stderr
    assert "Traceback" not in done.stderr
