"""Names of TensorFlow that are elsewhere in jslim: `tf.FixedLenFeature` in `slim.data`."""

_FEATURES = ("FixedLenFeature", "FixedLenSequenceFeature", "VarLenFeature")
_NAMES = {
    **{
        f"tf.{part}{name}": f"data.tf_example.{name}"
        for part in ("", "io.", "parsing.")
        for name in _FEATURES
    },
    "tf.python_io.tf_record_iterator": "data.tfrecord.read_records",
    "tf.python_io.TFRecordWriter": "data.TFRecordWriter",
    "tf.io.TFRecordWriter": "data.TFRecordWriter",
}
# What a data set is given, and what `Dataset` takes in its place; called it is a reader of a graph.
_READERS = ("tf.TFRecordReader",)
DROPPED = {"tf.reset_default_graph": "nothing: there is no graph"}


def place(name: str, slim: str | None, is_called: bool) -> str | None:
    """The expression in place of a name of TensorFlow; None if it is where it was.

    Args:
      name: Its full name: `tf.FixedLenFeature`.
      slim: What the file calls slim; None if it does not import it.
      is_called: Whether the name is called.
    """
    if name in _READERS and not is_called:
        return "None"
    return f"{slim}.{_NAMES[name]}" if slim and name in _NAMES else None
