"""`tf.gfile` in buckets."""

import pytest

from jslim.compat import tf


def test_files_of_a_store(store, tmp_path):
    g, root = tf.gfile, store("a")
    g.MakeDirs(root)
    with g.GFile(f"{root}/x.txt", "w") as file:
        file.write("one\n")
    with g.GFile(f"{root}/b/y.bin", "wb") as file:
        file.write(b"\0\1")
    with g.Open(f"{root}/x.txt") as file:
        assert file.read() == "one\n"
    with g.GFile(f"{root}/b/y.bin", "rb") as file:
        assert file.read() == b"\0\1"
    assert (g.Exists(root), g.Exists(f"{root}/none"), g.IsDirectory(f"{root}/b")) == (1, 0, 1)
    assert sorted(g.ListDirectory(root)) == ["b", "x.txt"]
    assert g.Glob(f"{root}/*.txt") == [f"{root}/x.txt"]
    assert g.Glob([f"{store()}/*/b/y*", f"{root}/none"]) == [f"{root}/b/y.bin"]
    g.Copy(f"{root}/x.txt", str(tmp_path / "x"))
    assert (tmp_path / "x").read_text() == "one\n"
    g.Copy(str(tmp_path / "x"), f"{root}/copy")
    with pytest.raises(FileExistsError, match="exists already; pass overwrite=True"):
        g.Copy(f"{root}/x.txt", f"{root}/copy")
    g.Rename(f"{root}/copy", f"{root}/c/moved")
    assert list(g.Walk(root)) == [
        (root, ["b", "c"], ["x.txt"]),
        (f"{root}/b", [], ["y.bin"]),
        (f"{root}/c", [], ["moved"]),
    ]
    g.Remove(f"{root}/x.txt")
    with pytest.raises(FileExistsError):
        g.MkDir(f"{root}/b")
    g.DeleteRecursively(f"{root}/b")
    assert [folder for folder, _, _ in g.Walk(root, in_order=False)] == [f"{root}/c", root]
    with pytest.raises(ValueError, match="mode must be 'r' or 'w' in an object store, got 'a'"):
        g.GFile(f"{root}/c/moved", "a")
    with pytest.raises(OSError, match=f"No such file or directory: '{root}/x.txt'"):
        g.GFile(f"{root}/x.txt")
