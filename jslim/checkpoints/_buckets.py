"""What Orbax tells TensorStore, which does the work, about places in buckets.

Two things are added to it. Requests to a store that does not answer are repeated for as long as
jslim's own are, where TensorStore's default is a quarter of an hour. And s3://, to which Orbax does
not write by itself (seen in 0.12.8), is described as TensorStore takes it; that can go when Orbax
does (https://github.com/google/orbax/pull/2739).
"""

import functools
import itertools
import os
from typing import Any

from orbax.checkpoint._src.serialization import tensorstore_utils

from jslim.host.stores import PATIENCE_SECS

_S3 = "s3://"


@functools.cache
def teach_orbax() -> None:
    """Lets Orbax read and write gs:// and s3:// so from now on, in this process."""
    describe = tensorstore_utils.build_kvstore_tspec

    def describe_any(directory: str, *args: object, **options: object) -> Any:
        # All but the driver is the same for both kinds of buckets.
        given = directory.replace(_S3, "gs://", 1) if directory.startswith(_S3) else directory
        return _completed(describe(given, *args, **options), is_s3=directory.startswith(_S3))

    tensorstore_utils.build_kvstore_tspec = describe_any


def _completed(spec: Any, *, is_s3: bool) -> Any:
    """A description for TensorStore with what is to be added."""
    if isinstance(spec, list):
        return [_completed(part, is_s3=is_s3) for part in spec]
    if not isinstance(spec, dict):
        return spec
    if spec.get("driver") not in ("gcs", "gcs_grpc"):
        return {key: _completed(part, is_s3=is_s3) for key, part in spec.items()}
    retries = {"max_retries": _retries(PATIENCE_SECS)}
    if not is_s3:
        return {**spec, "gcs_request_retries": retries}
    given: dict[str, Any] = {
        # The variables of Amazon's own tools; without them TensorStore asks Amazon.
        "endpoint": os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        "aws_region": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
    }
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        # Otherwise it looks for files of credentials first, and prints that there are none.
        given["aws_credentials"] = {"type": "environment"}
    given = {key: value for key, value in given.items() if value}
    return {**spec, "driver": "s3", "s3_request_retries": retries, **given}


def _retries(seconds: float) -> int:
    """How often TensorStore asks again in that time; it waits for 1, 2, 4, ... 32 s in between.

    >>> _retries(120.0)
    7
    """
    waits = itertools.accumulate(min(2.0**number, 32.0) for number in itertools.count())
    return sum(1 for _ in itertools.takewhile(lambda total: total <= seconds, waits))
