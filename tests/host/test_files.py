"""Files take their names when they are whole."""

import pytest

from jslim.host.files import UnfinishedFile


def test_the_name_holds_the_old_file_until_the_new_one_is_whole(tmp_path):
    final = tmp_path / "made" / "file"
    final.parent.mkdir()
    final.write_text("old")
    with UnfinishedFile(final) as unfinished:
        unfinished.path.write_text("new")
        assert final.read_text() == "old"
        assert unfinished.path.parent == final.parent  # a rename, not a copy
    assert final.read_text() == "new"
    assert list(final.parent.iterdir()) == [final]


@pytest.mark.parametrize("has_begun", [False, True])
def test_an_error_leaves_what_was_there(tmp_path, has_begun):
    final = tmp_path / "file"
    final.write_text("old")

    def fail():
        with UnfinishedFile(final) as unfinished:
            if has_begun:
                unfinished.path.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_two_writers_do_not_mix(tmp_path):
    with (
        UnfinishedFile(tmp_path / "new" / "file") as one,
        UnfinishedFile(one.path.with_name("file")) as two,
    ):
        assert one.path != two.path
        one.path.write_text("one")
        two.path.write_text("two")
    assert (tmp_path / "new" / "file").read_text() == "one"
