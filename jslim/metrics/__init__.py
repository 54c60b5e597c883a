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

Weights are 1 by default. They are a scalar; an array of the rank of the values, in which axes of 1
broadcast; or an array that lacks last axes, so that one weight per example `[batch]` fits values
`[batch, ...]`. One more last axis of 1 is dropped. A value of weight 0 does not count, even if it
is NaN: rows of weight 0 that fill up a batch change nothing. Metrics compute in float32, whatever
the type of the data (in float64 if JAX has 64-bit types), and counts are exact past 2**24 examples.

On several devices nothing changes under `jax.jit` with sharded data. In `jax.shard_map` or
`jax.pmap` update one state per device. Combine the states inside by `metric.psum(state,
axis_name)`, or return all of them and combine them by `merge`.
"""

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.metrics._core import Metric as Metric
from jslim.metrics._core import aggregate_metric_map as aggregate_metric_map
from jslim.metrics._core import aggregate_metrics as aggregate_metrics
from jslim.metrics.binary import precision as precision
from jslim.metrics.binary import recall as recall
from jslim.metrics.binary import streaming_false_negative_rate as streaming_false_negative_rate
from jslim.metrics.binary import (
    streaming_false_negative_rate_at_thresholds as streaming_false_negative_rate_at_thresholds,
)
from jslim.metrics.binary import streaming_false_negatives as streaming_false_negatives
from jslim.metrics.binary import (
    streaming_false_negatives_at_thresholds as streaming_false_negatives_at_thresholds,
)
from jslim.metrics.binary import streaming_false_positive_rate as streaming_false_positive_rate
from jslim.metrics.binary import (
    streaming_false_positive_rate_at_thresholds as streaming_false_positive_rate_at_thresholds,
)
from jslim.metrics.binary import streaming_false_positives as streaming_false_positives
from jslim.metrics.binary import (
    streaming_false_positives_at_thresholds as streaming_false_positives_at_thresholds,
)
from jslim.metrics.binary import streaming_precision as streaming_precision
from jslim.metrics.binary import (
    streaming_precision_at_thresholds as streaming_precision_at_thresholds,
)
from jslim.metrics.binary import streaming_recall as streaming_recall
from jslim.metrics.binary import (
    streaming_recall_at_thresholds as streaming_recall_at_thresholds,
)
from jslim.metrics.binary import streaming_true_negatives as streaming_true_negatives
from jslim.metrics.binary import (
    streaming_true_negatives_at_thresholds as streaming_true_negatives_at_thresholds,
)
from jslim.metrics.binary import streaming_true_positives as streaming_true_positives
from jslim.metrics.binary import (
    streaming_true_positives_at_thresholds as streaming_true_positives_at_thresholds,
)
from jslim.metrics.classes import ClassScores as ClassScores
from jslim.metrics.classes import cohen_kappa as cohen_kappa
from jslim.metrics.classes import confusion_matrix as confusion_matrix
from jslim.metrics.classes import per_class as per_class
from jslim.metrics.classes import scores_of as scores_of
from jslim.metrics.classes import streaming_mean_iou as streaming_mean_iou
from jslim.metrics.correlation import streaming_covariance as streaming_covariance
from jslim.metrics.correlation import streaming_pearson_correlation as streaming_pearson_correlation
from jslim.metrics.curves import f1_score as f1_score
from jslim.metrics.curves import precision_at_recall as precision_at_recall
from jslim.metrics.curves import recall_at_precision as recall_at_precision
from jslim.metrics.curves import streaming_auc as streaming_auc
from jslim.metrics.curves import streaming_curve_points as streaming_curve_points
from jslim.metrics.curves import (
    streaming_sensitivity_at_specificity as streaming_sensitivity_at_specificity,
)
from jslim.metrics.curves import (
    streaming_specificity_at_sensitivity as streaming_specificity_at_sensitivity,
)
from jslim.metrics.gathering import AucData as AucData
from jslim.metrics.gathering import auc_with_confidence_intervals as auc_with_confidence_intervals
from jslim.metrics.gathering import streaming_concat as streaming_concat
from jslim.metrics.gathering import streaming_dynamic_auc as streaming_dynamic_auc
from jslim.metrics.histograms import PrecisionRecallData as PrecisionRecallData
from jslim.metrics.histograms import auc_using_histogram as auc_using_histogram
from jslim.metrics.histograms import (
    precision_recall_at_equal_thresholds as precision_recall_at_equal_thresholds,
)
from jslim.metrics.means import accuracy as accuracy
from jslim.metrics.means import count as count
from jslim.metrics.means import percentage_less as percentage_less
from jslim.metrics.means import streaming_accuracy as streaming_accuracy
from jslim.metrics.means import streaming_mean as streaming_mean
from jslim.metrics.means import streaming_mean_absolute_error as streaming_mean_absolute_error
from jslim.metrics.means import streaming_mean_cosine_distance as streaming_mean_cosine_distance
from jslim.metrics.means import streaming_mean_relative_error as streaming_mean_relative_error
from jslim.metrics.means import streaming_mean_squared_error as streaming_mean_squared_error
from jslim.metrics.means import streaming_mean_tensor as streaming_mean_tensor
from jslim.metrics.means import streaming_percentage_less as streaming_percentage_less
from jslim.metrics.means import (
    streaming_root_mean_squared_error as streaming_root_mean_squared_error,
)
from jslim.metrics.ranking import sparse_recall_at_top_k as sparse_recall_at_top_k
from jslim.metrics.ranking import streaming_recall_at_k as streaming_recall_at_k
from jslim.metrics.ranking import (
    streaming_sparse_average_precision_at_k as streaming_sparse_average_precision_at_k,
)
from jslim.metrics.ranking import (
    streaming_sparse_average_precision_at_top_k as streaming_sparse_average_precision_at_top_k,
)
from jslim.metrics.ranking import streaming_sparse_precision_at_k as streaming_sparse_precision_at_k
from jslim.metrics.ranking import (
    streaming_sparse_precision_at_top_k as streaming_sparse_precision_at_top_k,
)
from jslim.metrics.ranking import streaming_sparse_recall_at_k as streaming_sparse_recall_at_k

_tf_slim_names.answer_in(__name__)
