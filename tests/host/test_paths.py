"""The rule for paths, which holds wherever a path is taken."""

import os
import pathlib
import re

import pytest

from jslim.host.paths import (
    as_path,
    format_of,
    is_remote,
    local_path,
    output_directory,
    output_file,
)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "path", ["runs/", "a:b", "x:/y", "exp [v2] *", "a/s3://b", "/", ".", r"C:\x", "a~", "./a", " "]
)
def test_a_path_is_what_it_is(path):
    assert local_path(path, "it") == path
    assert local_path(os.fsencode(path), "it") == path


@pytest.mark.parametrize(
    ("path", "means"), [("~", "/home/me"), ("~/a~b", "/home/me/a~b"), ("~root/x", "/root/x")]
)
def test_a_home_directory_is_expanded(path, means):
    assert local_path(path, "it") == local_path(pathlib.Path(path), "it") == means


@pytest.mark.parametrize("path", ["./~", "./~me/x", "gs:/x", "./s3://x", "././~/a"])
def test_what_means_a_path_means_the_same_the_second_time(path, tmp_path):
    once = local_path(path, "it")
    assert os.path.normpath(once) == os.path.normpath(tmp_path / path)
    assert local_path(pathlib.Path(once), "it") == str(pathlib.Path(once))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "it is empty; give a path, such as '.' for the working directory"),
        ("a\0b", "it must be a path, without a zero byte, got 'a\\x00b'"),
        *(
            (f"{scheme}://b/run", f"it must be a path on this machine, got the URL "
             f"'{scheme}://b/run'; copy the files, or mount them as a folder")
            for scheme in ("gs", "s3", "hdfs", "http", "https", "GS", "git+ssh", "x", "memory")
        ),
        ("file:///tmp/x", "it must be a path on this machine, got the URL 'file:///tmp/x'; leave "
         "out 'file://'"),
        (pathlib.Path("gs://b/run"), "it must be a path on this machine, got the URL 'gs:/b/run'; "
         "copy the files, or mount them as a folder"),
        ("~nobody-here/run", "it is '~nobody-here/run', and '~nobody-here' is no home directory; "
         "give './~nobody-here/run' if that is its name"),
    ],
)  # fmt: skip
def test_what_is_no_path_of_this_machine_is_refused(path, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        local_path(path, "it")
    if "gs:" not in (start := os.fsdecode(path).lower()) and "s3:" not in start:
        or_url = " or a URL of gs://, s3://, az:// or hf://, got the URL"
        message = message.replace(", got the URL", or_url)
        for check in (as_path, output_directory, output_file):
            with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
                check(path, "it")


@pytest.mark.parametrize("path", ["runs/", "a:b", "exp [v2] *", "a/s3://b", "./~", "~/x", "gs:/x"])
def test_a_local_path_becomes_one_of_pathlib(path):
    once = as_path(path, "it")
    assert type(once) is type(pathlib.Path())
    assert os.fspath(once) == str(pathlib.Path(local_path(path, "it")))
    assert as_path(once, "it") == once == as_path(os.fsencode(path), "it")
    assert not is_remote(path)
    assert not is_remote(once)


URLS = {
    "gs://b": "gs://b",
    "gs://b/run/": "gs://b/run",
    "GS://b/Run": "gs://b/Run",
    "s3://b//a/./x": "s3://b/a/x",
    "s3://b/a/../x": "s3://b/x",
    "gs://b/run [v2] *": "gs://b/run [v2] *",
    "gs://b/~": "gs://b/~",
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_of_a_store_is_kept(url):
    pytest.importorskip("gcsfs")
    pytest.importorskip("s3fs")
    path = as_path(url, "it")
    assert is_remote(path)
    assert os.fspath(path) == os.fspath(as_path(path, "it")) == URLS[url]
    assert as_path(os.fsencode(url), "it") == path


def test_a_url_that_pathlib_has_changed_is_one():
    pytest.importorskip("gcsfs")
    assert os.fspath(as_path(pathlib.Path("gs://b/run"), "it")) == "gs://b/run"


def test_what_is_written_to_a_store():
    pytest.importorskip("huggingface_hub")
    pytest.importorskip("gcsfs")
    message = "it must be a directory on this machine or a URL of gs:// or s3://, got the URL 'hf:"
    with pytest.raises(ValueError, match=f"^{message}"):
        output_directory("hf://datasets/me/x", "it")
    message = "it is 'gs://b/x/', which is a directory; give the file to write"
    with pytest.raises(ValueError, match=f"^{message}"):
        output_file("gs://b/x/", "it")


@pytest.mark.parametrize("url", ["gs://", "gs:///", "gs://b/.."])
def test_a_url_without_a_bucket_is_refused(url):
    message = f"it is '{url}', which names no bucket; give gs://BUCKET/NAME"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        as_path(url, "it")


@pytest.mark.parametrize(
    ("scheme", "package", "extra"),
    [("gs", "gcsfs", "gcs"), ("s3", "s3fs", "s3"), ("az", "adlfs", "az"),
     ("hf", "huggingface-hub", "hub")],
)  # fmt: skip
def test_the_package_that_a_store_needs_is_named(scheme, package, extra, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = (
        f"it '{scheme}://b/x' needs {package}, which is not installed; run: pip install 'jslim["
    )
    with pytest.raises(ImportError, match=f"^{re.escape(message)}{extra}\\]'$"):
        as_path(f"{scheme}://b/x", "it")


def test_what_is_of_another_type_is_refused():
    for check in (local_path, as_path):
        with pytest.raises(TypeError, match=r"^it must be a path, got None$"):
            check(None, "it")


FORMATS = {".zip": "a graph", ".ckpt": "a checkpoint"}


@pytest.mark.parametrize(
    ("path", "suffix"),
    [
        ("my.ckpts/lenet.zip", ".zip"), ("a.zip/m.ckpt", ".ckpt"), ("m.ckpt-1000", ".ckpt"),
        ("A.ZIP", ".zip"), ("m.zip.ckpt-1", ".ckpt"),
    ],
)  # fmt: skip
def test_the_end_of_the_name_says_the_format(path, suffix):
    assert format_of(path, "it", FORMATS) == suffix
    assert output_file(path, "it", FORMATS) == path


@pytest.mark.parametrize(
    "path", ["lenet.onnx", "lenet.pb", "a.zip/lenet", "m.ckpt-last", "m.ckpt.index", "zip", ".zip"]
)
def test_another_end_is_refused(path):
    message = f"it must end in .zip (a graph) or .ckpt (a checkpoint), got {path!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        output_file(path, "it", FORMATS)


def test_what_cannot_be_written_is_refused_before_it_is_made(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in ("folder", "new/"):
        with pytest.raises(ValueError, match=f"it is '{path}', which is a directory; give the fi"):
            output_file(path, "it")
    with pytest.raises(ValueError, match="it is 'file', which is a file; give a directory"):
        output_directory("file", "it")
    for check in (output_file, output_directory):
        with pytest.raises(ValueError, match="it is 'file/a/b', but 'file' is no directory; give"):
            check("file/a/b", "it")
        assert check("new/a/b", "it") == "new/a/b"
    assert output_file("file", "it") == "file"
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may do anything
    with pytest.raises(ValueError, match=r"it is 'folder/a', but 'folder' cannot be written to; "):
        output_file("folder/a", "it")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
