"""Streaming metrics: pure functions over a small state that stays on the device.

A metric has `init()`, `update(state, *data, weights=None)`, `finalize(state)` and `merge(a, b)`;
see `Metric`. Configuration goes to the constructor, data to `update`:

    metrics = slim.metrics.aggregate_metric_map({
        'accuracy': slim.metrics.streaming_accuracy(),
        'mae': slim.metrics.streaming_mean_absolute_error()})
    state = metrics.init()
    for predictions, labels in batches:
        state = metrics.update(state, predictions, labels)       # inside jax.jit
    values = metrics.finalize(state)                             # {'accuracy': ..., 'mae': ...}

Weights are 1 where none are given. They may be a scalar; have the rank of the values, where axes
of 1 broadcast; have one axis of 1 more; or lack last axes, so that one weight per example `[batch]`
fits values `[batch, ...]`. A weight of 0 leaves a value out, whatever it is: padding a batch with
rows of weight 0 changes nothing. Everything is computed in float32, whatever the type of the
data (in float64 where JAX has 64-bit types), and counts stay exact past 2**24 examples.

Several devices: under `jax.jit` with sharded data nothing changes. In `jax.shard_map` or
`jax.pmap` update a state per device and combine them inside with `metric.psum(state, axis_name)`,
or bring them all outside and combine them with `merge`.
"""

from jslim.metrics._core import Metric as Metric
from jslim.metrics._core import aggregate_metric_map as aggregate_metric_map
from jslim.metrics._core import aggregate_metrics as aggregate_metrics
from jslim.metrics.confusion import precision as precision
from jslim.metrics.confusion import recall as recall
from jslim.metrics.confusion import streaming_precision as streaming_precision
from jslim.metrics.confusion import streaming_recall as streaming_recall
from jslim.metrics.means import accuracy as accuracy
from jslim.metrics.means import percentage_less as percentage_less
from jslim.metrics.means import streaming_accuracy as streaming_accuracy
from jslim.metrics.means import streaming_mean as streaming_mean
from jslim.metrics.means import streaming_mean_absolute_error as streaming_mean_absolute_error
from jslim.metrics.means import streaming_mean_relative_error as streaming_mean_relative_error
from jslim.metrics.means import streaming_mean_squared_error as streaming_mean_squared_error
from jslim.metrics.means import streaming_percentage_less as streaming_percentage_less
from jslim.metrics.ranking import streaming_recall_at_k as streaming_recall_at_k
