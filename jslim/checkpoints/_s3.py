"""Orbax on s3://, which it does not write to by itself (seen in 0.12.8).

TensorStore, which does the work, can: this module gives Orbax TensorStore's description of a place
in s3. It changes nothing where Orbax describes it itself (https://github.com/google/orbax/pull/2739
is to bring that), and can go then.
"""

import functools
import os
from typing import Any

from orbax.checkpoint._src.serialization import tensorstore_utils

_SCHEME = "s3://"


@functools.cache
def teach_orbax() -> None:
    """Lets Orbax read and write s3:// from now on, in this process."""
    describe = tensorstore_utils.build_kvstore_tspec
    try:
        describe(f"{_SCHEME}bucket/folder")
    except ValueError:  # "Checkpoint path should be absolute"
        pass
    else:
        return

    def describe_any(directory: str, *args: object, **options: object) -> Any:
        if not directory.startswith(_SCHEME):
            return describe(directory, *args, **options)
        # All but the driver is the same for both kinds of buckets.
        return _on_s3(describe("gs://" + directory.removeprefix(_SCHEME), *args, **options))

    tensorstore_utils.build_kvstore_tspec = describe_any


def _on_s3(spec: Any) -> Any:
    """A description for TensorStore with s3 in place of gs."""
    if isinstance(spec, list):
        return [_on_s3(part) for part in spec]
    if not isinstance(spec, dict):
        return spec
    if spec.get("driver") not in ("gcs", "gcs_grpc"):
        return {key: _on_s3(part) for key, part in spec.items()}
    environment: dict[str, Any] = {
        # The variables of Amazon's own tools; without them TensorStore asks Amazon.
        "endpoint": os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        "aws_region": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
    }
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        # Otherwise it looks for files of credentials first, and prints that there are none.
        environment["aws_credentials"] = {"type": "environment"}
    given = {key: value for key, value in environment.items() if value}
    return {**spec, "driver": "s3", **given}
