"""Flags, files and messages of a program."""

import logging
import subprocess
import sys

import jax
import pytest

from jslim.compat import tf

PROGRAM = """
from jslim.compat import tf
flags = tf.app.flags
flags.DEFINE_string("name", "a", "")
flags.DEFINE_integer("count", 3, "A count.")
flags.DEFINE_integer("count", 3, "A count.")
flags.DEFINE_float("rate", 0.5, "")
flags.DEFINE_bool("fast", False, "")
flags.DEFINE_boolean("slow", True, "")
flags.DEFINE_list("sizes", "1,2", "")
tf.flags.DEFINE_enum("kind", "x", ["x", "y"], "")
FLAGS = flags.FLAGS
assert "count" in FLAGS
flags.mark_flag_as_required("name")

def main(_):
    FLAGS.rate = 2 * FLAGS.rate
    print(FLAGS.name, FLAGS.count, FLAGS.rate, FLAGS.fast, FLAGS.slow, FLAGS.sizes, FLAGS.kind)
    return 3

if __name__ == "__main__":
    tf.app.run()
"""


def test_a_program_with_flags(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    words = ["--name=b", "--count", "5", "--fast", "--noslow", "--kind=y", "--of_argparse=1"]
    done = subprocess.run(
        [sys.executable, program, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "b 5 1.0 True False ['1', '2'] y\n", done.stderr
    assert done.returncode == 3


OLD_PROGRAM = """
from jslim.compat import tf
tf.app.flags.DEFINE_integer("count", 3, "A count.")
FLAGS = tf.app.flags.FLAGS
print(FLAGS.__dict__["__flags"], FLAGS.__flags)
FLAGS._parse_flags()
FLAGS._parse_flags(args=["--count=7"])
print(FLAGS.__flags)
print(FLAGS(["program", "--count=8", "word"]), FLAGS.count)
"""


def test_flags_as_tensorflow_held_them_before_1_5(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(OLD_PROGRAM)
    done = subprocess.run(
        [sys.executable, program, "--count=5"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    lines = "{'count': 5} {'count': 5}", "{'count': 7}", "['program', 'word'] 8"
    assert done.stdout.splitlines() == list(lines), done.stderr


def test_files(tmp_path):
    g, root = tf.gfile, str(tmp_path / "a" / "b")
    g.MakeDirs(root)
    g.makedirs(root)
    with g.GFile(f"{root}/one.txt", "w") as file:
        file.write("text")
    with g.FastGFile(f"{root}/one.txt", "rb") as file:
        assert file.read() == b"text"
    with g.Open(f"{root}/one.txt") as file:
        assert file.read() == "text"
    assert g.Exists(f"{root}/one.txt")
    assert not g.exists(f"{root}/two.txt")
    assert g.IsDirectory(root)
    assert not g.isdir(f"{root}/one.txt")
    g.Copy(f"{root}/one.txt", f"{root}/two.txt")
    g.copy(f"{root}/one.txt", f"{root}/two.txt", overwrite=True)
    with pytest.raises(FileExistsError, match=r"tf.gfile.Copy: .* exists already; pass overwrite"):
        g.Copy(f"{root}/one.txt", f"{root}/two.txt")
    g.Rename(f"{root}/two.txt", f"{root}/three.txt")
    g.rename(f"{root}/three.txt", f"{root}/four.txt")
    assert sorted(g.ListDirectory(root)) == sorted(g.listdir(root)) == ["four.txt", "one.txt"]
    assert g.Glob(f"{root}/o*.txt") == g.glob([f"{root}/o*.txt"]) == [f"{root}/one.txt"]
    assert [files for _, _, files in g.Walk(root)] == [files for _, _, files in g.walk(root)]
    g.Remove(f"{root}/four.txt")
    g.remove(f"{root}/one.txt")
    g.MkDir(f"{root}/c")
    g.mkdir(f"{root}/d")
    g.DeleteRecursively(f"{root}/c")
    g.rmtree(root)
    assert not g.Exists(root)
    assert tf.io.gfile is g


def test_records(tmp_path):
    path = str(tmp_path / "records")
    kinds = tf.python_io.TFRecordCompressionType
    for options in (None, kinds.GZIP, tf.python_io.TFRecordOptions(kinds.ZLIB), "GZIP"):
        with tf.python_io.TFRecordWriter(path, options=options) as writer:
            writer.write(b"one")
            writer.flush()
            writer.write(b"two")
        assert list(tf.python_io.tf_record_iterator(path)) == [b"one", b"two"]
    assert tf.io.tf_record_iterator is tf.python_io.tf_record_iterator
    with pytest.raises(ValueError, match="TFRecordOptions: compression_type must be NONE, ZLIB or"):
        tf.python_io.TFRecordOptions("LZ4")


def test_what_a_program_asks_of_the_machine():
    has_gpu = jax.default_backend() == "gpu"
    assert tf.test.is_gpu_available() is tf.test.is_built_with_cuda() is has_gpu
    assert tf.test.is_built_with_gpu_support() is has_gpu
    assert tf.test.gpu_device_name() == ("/device:GPU:0" if has_gpu else "")
    with pytest.raises(AttributeError, match=r"tf\.test\.main is not among the names"):
        _ = tf.test.main


def test_texts_of_both_pythons():
    compat = tf.compat
    assert [compat.as_text(b"a"), compat.as_str("a"), compat.as_str_any(3)] == ["a", "a", "3"]
    assert [compat.as_bytes("\u00e9"), compat.as_bytes(b"a")] == [b"\xc3\xa9", b"a"]
    assert isinstance("a", compat.bytes_or_text_types)
    assert isinstance(3, compat.integral_types)
    assert compat.dimension_value(tf.TensorShape([3])[0]) == 3
    assert compat.v1 is tf


def test_a_file_on_another_machine_is_refused():
    with pytest.raises(ValueError, match=r"tf\.gfile"):
        tf.gfile.Exists("http://host/file")


def test_messages(caplog):
    with caplog.at_level(logging.DEBUG, "jslim.compat"):
        for level in ("debug", "info", "warn", "warning", "error", "fatal"):
            getattr(tf.logging, level)("%s of %d", level, 3)
        tf.logging.log(tf.logging.INFO, "logged")
    texts = [record.getMessage() for record in caplog.records]
    assert texts[:2] == ["debug of 3", "info of 3"]
    assert texts[-1] == "logged"
    assert [r.levelno for r in caplog.records] == [
        tf.logging.DEBUG, tf.logging.INFO, tf.logging.WARN, tf.logging.WARNING,
        tf.logging.ERROR, tf.logging.FATAL, tf.logging.INFO,
    ]  # fmt: skip
    before = tf.logging.get_verbosity()
    try:
        tf.logging.set_verbosity(tf.logging.ERROR)
        assert tf.logging.get_verbosity() == logging.ERROR
    finally:
        tf.logging.set_verbosity(before)


ERRORS = (
    "OutOfRangeError InvalidArgumentError NotFoundError AbortedError CancelledError "
    "FailedPreconditionError DataLossError UnimplementedError"
)


@pytest.mark.parametrize("name", ERRORS.split())
def test_errors_are_classes(name):
    assert issubclass(getattr(tf.errors, name), tf.errors.OpError)
