"""Directories of any name: none of them is a pattern, a bucket, or Windows' path."""

import os
import pathlib

import pytest
from checkpoint_states import assert_same, make_state, save_steps

from jslim.checkpoints import load_variables, restore
from jslim.checkpoints._orbax import paths

NAMES = (
    "exp [v2]/run", "[!x]", "a*b", "a?b", "**", r"back\slash", "gs:/bucket", "a\nb", "é", " ~",
    "no utf-8 \udcea",
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_in_a_directory_of_any_name_comes_back(tmp_path, name):
    directory = tmp_path / name
    save_steps(directory, 1, 2, keep=1)
    assert_same(restore(directory, make_state(0)).state, make_state(2))
    assert list(load_variables(directory, ["lenet/fc2/b"])) == ["lenet/fc2/biases"]
    assert sorted(path.name for path in directory.iterdir()) == ["2"]
    assert [path.name for path in tmp_path.iterdir()] == [pathlib.Path(name).parts[0]]


def test_working_directory_and_target_of_a_link_may_be_called_anything(tmp_path, monkeypatch):
    folder = tmp_path / "[a] *"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    for name, directory in (("here", "here"), ("linked", tmp_path / "link" / "linked")):
        save_steps(directory, 3)
        assert_same(restore(folder / name, make_state(0)).state, make_state(3))


def test_without_the_file_system_proc_a_link_is_the_plain_name(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "_OPEN_FILES", tmp_path / "none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    save_steps(tmp_path / "exp [v2]", 1)
    assert_same(restore(tmp_path / "exp [v2]", make_state(0)).state, make_state(1))
    assert [path.name for path in tmp_path.iterdir()] == ["exp [v2]"]


def test_no_file_stays_open(tmp_path):
    before = os.listdir("/proc/self/fd")
    save_steps(tmp_path / "[a]", 1)
    restore(tmp_path / "[a]", make_state(0))
    assert len(os.listdir("/proc/self/fd")) <= len(before)


@pytest.mark.parametrize("path", ["/gs/x", "/s3/x", "//tmp/x", "/a:b", "/tmp/a\\b", "/tmp/\udcea"])
def test_what_others_would_take_for_something_else_is_not_plain(path):
    assert not paths._PLAIN.fullmatch(path)


@pytest.mark.parametrize("path", ["/tmp/run-1", "/home/me/a b/über.d~/x=1,2@3%", "/gsx/s3"])
def test_usual_names_are_handed_on_as_they_are(path):
    with paths.plainly_named(pathlib.Path(path)) as given:
        assert str(given) == path
