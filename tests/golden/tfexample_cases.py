"""Decoders of tf.train.Example, said once for TF-Slim and for jslim."""


def decoders(slim, io, types):
    """`{name: (keys_to_features, items_to_handlers)}`.

    Args:
      slim: A module with the handlers.
      io: What has `FixedLenFeature` and `VarLenFeature`.
      types: `{name: dtype}` for bytes, int64 and float32.
    """
    fixed, var = io.FixedLenFeature, io.VarLenFeature
    data, whole, real = types["bytes"], types["int64"], types["float32"]
    box = {f"image/object/bbox/{side}": var(real) for side in ("ymin", "xmin", "ymax", "xmax")}
    encoded = {
        "image/encoded": fixed([], data, default_value=""),
        "image/format": fixed([], data, default_value="jpeg"),
    }
    return {
        "image": (encoded, {"image": slim.Image()}),
        "grey": (encoded, {"image": slim.Image(channels=1)}),
        "float": (encoded, {"image": slim.Image(dtype=real)}),
        "raw": (
            {"raw": fixed([], data), "raw/format": fixed([], data)},
            {"raw": slim.Image("raw", "raw/format", shape=[2, 3, 1], channels=1)},
        ),
        "several": (
            {"several": fixed([2], data), "image/format": encoded["image/format"]},
            {"images": slim.Image("several", "image/format", repeated=True)},
        ),
        "label": (
            {"image/class/label": fixed([1], whole, default_value=[0])},
            {"label": slim.Tensor("image/class/label", shape=[])},
        ),
        "default": (
            {"not/there": fixed([2], whole, default_value=[5, 6]), "nor/this": var(real)},
            {"ones": slim.Tensor("not/there"), "none": slim.Tensor("nor/this")},
        ),
        "shaped": (
            {"grid": fixed([6], real), "height": fixed([], whole), "width": fixed([], whole)},
            {
                "by_keys": slim.Tensor("grid", shape_keys=["height", "width"]),
                "by_shape": slim.Tensor("grid", shape=[3, 2]),
            },
        ),
        "boxes": (box, {"boxes": slim.BoundingBox(prefix="image/object/bbox/")}),
        "sparse": (
            {"ids": var(whole), "weights": var(real), "size": fixed([1], whole)},
            {
                "dense": slim.SparseTensor("ids", "weights", shape=[9], densify=True),
                "by_key": slim.SparseTensor(
                    "ids", "weights", shape_key="size", densify=True, default_value=-1.0
                ),
            },
        ),
        "backup": (
            {"nor/this": var(real), "weights": var(real)},
            {
                "second": slim.BackupHandler(slim.Tensor("nor/this"), slim.Tensor("weights")),
                "first": slim.BackupHandler(slim.Tensor("weights"), slim.Tensor("nor/this")),
            },
        ),
        "callback": (
            {"height": fixed([], whole), "width": fixed([], whole)},
            {
                "area": slim.ItemHandlerCallback(
                    ["height", "width"], lambda held: held["height"] * held["width"]
                )
            },
        ),
    }


def sequence_decoders(slim, io, types):
    """`{name: (context features, sequence features, items_to_handlers)}`; see `decoders`."""
    whole, real = types["int64"], types["float32"]
    sides = ("ymin", "xmin", "ymax", "xmax")
    box = {f"box/{side}": io.VarLenFeature(real) for side in sides}
    return {
        "box_sequence": ({}, box, {"boxes": slim.BoundingBoxSequence(prefix="box/")}),
        "keypoints": (
            {},
            {"box/ymin": io.VarLenFeature(real), "box/xmin": io.VarLenFeature(real)},
            {"points": slim.KeypointsSequence(["ymin", "xmin"], prefix="box/", default_value=-3.0)},
        ),
        "num_boxes": ({}, box, {"count": slim.NumBoxesSequence(list(box))}),
        "dense_sequence": (
            {"length": io.FixedLenFeature([], whole)},
            {
                "ids": io.FixedLenSequenceFeature([2], whole),
                "none": io.FixedLenSequenceFeature([2], real, allow_missing=True),
                "box/ymax": io.VarLenFeature(real),
            },
            {
                "length": slim.Tensor("length"),
                "ids": slim.Tensor("ids"),
                "none": slim.Tensor("none"),
                "ymax": slim.Tensor("box/ymax", default_value=7.0),
            },
        ),
    }
