"""Objects in buckets, on real servers: named literally, written whole or not, read in parts."""

import concurrent.futures
import errno
import os
import pathlib
import re
import zipfile

import numpy as np
import pytest

from jslim.host import files, paths

ODD = ["a*", "a1", "a[1]", "a?b", "b c", "ü~", "x#1", "x%20", "q?generation=1", "d/e*/f", "d/e1/f"]


def at(url):
    return paths.as_path(url, "it")


def stores_module():
    from jslim.host import stores

    return stores


def test_a_url_is_a_path(store):
    run = at(store("run"))
    assert os.fspath(run / "a" / "b.txt") == store("run/a/b.txt") == str(run / "a" / "b.txt")
    assert os.fspath(at(run)) == os.fspath(run)
    assert (run.name, (run / "b.txt").suffix, os.fspath(run.parent)) == ("run", ".txt", store())
    assert not run.exists()
    assert not run.is_dir()
    run.mkdir(parents=True)  # nothing need be made
    assert files.size_of(_written(run / "a" / "b.txt", b"12345")) == 5
    assert [run.exists(), run.is_dir(), run.is_file()] == [True, True, False]
    assert [(run / "a/b.txt").is_dir(), (run / "a/b.txt").is_file()] == [False, True]
    assert [os.fspath(path) for path in run.iterdir()] == [store("run/a")]
    assert (run / "a/b.txt").stat().length == 5
    with pytest.raises(FileExistsError):
        run.mkdir()
    with pytest.raises(NotADirectoryError):
        list((run / "a/b.txt").iterdir())


def _written(path, content):
    files.write_bytes(path, content)
    return files.open_regular(path)


def test_a_name_is_never_a_pattern(store):
    run = at(store("run"))
    for name in ODD:
        files.write_bytes(run / name, name.encode())
    for name in ODD:
        assert files.open_regular(run / name).read() == name.encode()
        assert (run / name).read_bytes() == name.encode()
        assert (run / name).is_file()
    (run / "a*").unlink()
    files.remove_tree(run / "d" / "e*")
    left = sorted(set(ODD) - {"a*", "d/e*/f", "d/e1/f"} | {"d"})
    assert sorted(path.name for path in run.iterdir()) == left
    assert [path.name for path in run.glob("a*")] == ["a1", "a?b", "a[1]"]
    files.remove_tree(run)
    assert not run.exists()


@pytest.mark.parametrize("size", [0, 1, 1000, 9_000_000])
def test_bytes_come_back_as_they_were(store, size, tmp_path):
    content = np.random.default_rng(size).bytes(size)
    path = at(store("file"))
    for written in (content, content[::-1]):
        files.write_bytes(path, written)
        assert files.open_regular(path).read() == written
        with files.UnfinishedFile(path) as unfinished:
            unfinished.path.write_bytes(written + b"\r\n\n")
        assert files.open_regular(path).read() == written + b"\r\n\n"
    files.write_text(path, "ä\n")
    assert path.read_text() == "ä\n"


def test_what_fails_leaves_the_previous_file(store, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = at(store("file"))
    files.write_bytes(path, b"first")
    unfinished = files.UnfinishedFile(path)
    unfinished.path.write_bytes(b"half")
    unfinished.__exit__(KeyError, KeyError(), None)
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == []


def test_a_file_is_read_by_ranges(store, monkeypatch):
    content = np.random.default_rng(0).bytes(5_000_000)
    path = at(store("file"))
    files.write_bytes(path, content)
    assert bytes(files.read_part(path, 3_000_000, 1000)) == content[3_000_000:3_001_000]
    with files.open_regular(path) as file:
        assert files.size_of(file) == len(content)
        for start in (4_999_990, 7, 0):
            file.seek(start)
            assert file.read(100) == content[start : start + 100]
        assert file.seek(0, os.SEEK_END) == len(content)
        assert file.read() == b""
        assert file.seek(2_000_000) == 2_000_000
        asked = []
        read = stores_module().read
        with monkeypatch.context() as patch:
            patch.setattr(stores_module(), "read", lambda *part: asked.append(part) or read(*part))
            assert file.read() == content[2_000_000:]
        assert len(asked) == 1
        assert file.tell() == len(content)
    for offset, size in ((4_999_999, 2), (-1, 1), (5_000_001, 1)):
        with pytest.raises(OSError, match="it is too short"):
            files.read_part(path, offset, size)
    assert stores_module().read(os.fspath(path), 5, 5) == b""


def test_a_zip_archive_is_read_by_ranges(store, monkeypatch):
    path = at(store("a.zip"))
    parts = {f"{i}": np.random.default_rng(i).bytes(300_000) for i in range(20)}
    with files.UnfinishedFile(path) as unfinished, zipfile.ZipFile(unfinished.path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    read = []
    real = stores_module().read
    monkeypatch.setattr(
        "jslim.host.stores.read",
        lambda url, start, end: read.append(end - start) or real(url, start, end),
    )
    with files.open_regular(path) as file, zipfile.ZipFile(file) as archive:
        assert files.read_member(archive, archive.getinfo("7")) == parts["7"]
    assert sum(read) < 4_500_000  # of 6,000,000
    with (
        concurrent.futures.ThreadPoolExecutor(8) as threads,
        files.open_regular(path) as file,
        zipfile.ZipFile(file) as archive,
    ):
        found = threads.map(lambda name: files.read_member(archive, archive.getinfo(name)), parts)
        assert list(found) == list(parts.values())


def test_of_several_that_create_a_file_one_does(store):
    url = store("lock")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda i: stores_module().create(url, b"%d" % i), range(8)))
    assert made.count(True) == 1
    assert at(url).read_bytes() == b"%d" % made.index(True)
    assert not stores_module().create(url, b"late")
    at(url).unlink()
    assert stores_module().create(url, b"again")
    assert at(url).read_bytes() == b"again"


def test_errors_are_of_the_system_and_name_the_url(store):
    missing = at(store("missing"))
    files.write_bytes(at(store("folder/file")), b"")
    for act in (
        lambda: files.open_regular(missing),
        missing.read_bytes,
        lambda: list(missing.iterdir()),
        missing.stat,
        lambda: files.remove_tree(missing),
        lambda: files.open_regular(at(store().replace("//bucket", "//no-bucket"))),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            act()
        assert caught.value.errno == errno.ENOENT
        assert caught.value.filename.startswith(store()[:5])
    with pytest.raises(IsADirectoryError) as caught:
        files.open_regular(at(store("folder")))
    assert caught.value.filename == store("folder")


def test_a_bucket_that_is_missing_is_said_and_not_made(store, tmp_path):
    url = store()[:5] + "no-bucket/x"
    (tmp_path / "x").touch()
    for act in (
        lambda: files.write_bytes(url, b""),
        lambda: stores_module().create(url, b""),
        lambda: stores_module().upload(tmp_path / "x", url),
    ):
        with pytest.raises(FileNotFoundError, match=f"there is no bucket {url[:-2]}, and none is"):
            act()


def test_a_store_that_does_not_answer_is_one_sentence(stores, monkeypatch):
    module = stores_module()
    url = stores.gs("x")

    class Broken:
        def cat_file(self, *args, **kwargs):
            raise RuntimeError("503 try later.\nmore")

        pipe_file = cat_file

    monkeypatch.setattr(module, "file_system", lambda scheme: Broken())
    for act in (lambda: module.read(url), lambda: module.create(url, b"")):
        message = "the store answers with RuntimeError: 503 try later"
        with pytest.raises(OSError, match=rf"{message}: '{url}'$"):
            act()


def test_what_is_written_is_a_file_or_a_directory(store):
    files.write_bytes(store("folder/file"), b"")
    with pytest.raises(
        ValueError, match=f"it is '{store('folder/file')}', which is a file; give a"
    ):
        paths.output_directory(store("folder/file"), "it")
    with pytest.raises(ValueError, match=f"it is '{store('folder')}', which is a directory; give"):
        paths.output_file(store("folder"), "it")
    assert paths.output_directory(store("new/"), "it") == store("new")
    assert paths.output_file(store("folder/file"), "it") == store("folder/file")


def test_rights_that_are_missing_are_said(stores, monkeypatch):
    module = stores_module()

    class Refusing:
        def cat_file(self, *args, **kwargs):
            raise OSError("Forbidden: /b/x\nno access")

    monkeypatch.setattr(module, "file_system", lambda scheme: Refusing())
    message = "the store refuses it (Forbidden: /b/x); check the credentials"
    with pytest.raises(PermissionError, match=re.escape(message)):
        module.read("gs://b/x")
    with pytest.raises(OSError, match="az:// cannot create only what is absent"):
        module.create("az://b/x", b"")


def test_what_fails_while_a_file_is_written_is_one_sentence(stores, monkeypatch):
    path = at(stores.gs("x"))
    module = stores_module()
    with path.open("w") as file:
        file.write("a\nä")
    assert path.read_text() == "a\nä"
    assert path.read_bytes() == "a\nä".encode()
    with pytest.raises(OSError, match="'a': an object is read, or written as a whole"):
        path.open("a")

    class AwayError(Exception):
        code = 503

    class Away:
        def pipe_file(self, *args, **kwargs):
            raise AwayError(", 503")

    monkeypatch.setattr(module, "file_system", lambda scheme: Away())
    monkeypatch.setattr(module, "PATIENCE_SECS", 0.0)
    with pytest.raises(OSError, match="the store answers with AwayError: , 503") as raised:
        path.write_text("b")
    assert module.is_outage(raised.value)


def test_a_path_in_a_bucket_is_no_path_of_this_machine(stores):
    with pytest.raises(ValueError, match="must be a path on this machine, got the URL"):
        paths.local_path(at(stores.gs("x")), "it")
    assert not isinstance(at(stores.gs("x")), pathlib.Path)
