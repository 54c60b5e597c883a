"""Summaries for TensorBoard, recorded in a model function and written outside it.

    def total_loss(batch):
        ...
        slim.summary.scalar('accuracy', accuracy)
        slim.summary.histogram('logits', logits)

    loss, updated = model.apply(variables, batch, mutable=['summaries'])
    with slim.summary.SummaryWriter(logdir) as writer:
        writer.write(step, updated)

A recorded value leaves the model only if `mutable` names 'summaries'; otherwise it is not computed.
The step of `learning.train` always computes scalars, and histograms and images only when summaries
are due. A tag is the name under the current variable scope, with a number if it is taken.
"""

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.summaries._host import host_histogram as host_histogram
from jslim.summaries._protocol import MultiWriter as MultiWriter
from jslim.summaries._protocol import NullWriter as NullWriter
from jslim.summaries._reading import Scalars as Scalars
from jslim.summaries._reading import read_scalars as read_scalars
from jslim.summaries._recording import SUMMARIES as SUMMARIES
from jslim.summaries._recording import Histogram as Histogram
from jslim.summaries._recording import Summaries as Summaries
from jslim.summaries._recording import gradient_summaries as gradient_summaries
from jslim.summaries._recording import histogram as histogram
from jslim.summaries._recording import histogram_summary as histogram_summary
from jslim.summaries._recording import image as image
from jslim.summaries._recording import image_summary as image_summary
from jslim.summaries._recording import scalar as scalar
from jslim.summaries._recording import scalar_summary as scalar_summary
from jslim.summaries._recording import scalars_of as scalars_of
from jslim.summaries._recording import summaries_due as summaries_due
from jslim.summaries._recording import when_due as when_due
from jslim.summaries._services import MlflowWriter as MlflowWriter
from jslim.summaries._services import WandbWriter as WandbWriter
from jslim.summaries._slim import add_histogram_summaries as add_histogram_summaries
from jslim.summaries._slim import add_histogram_summary as add_histogram_summary
from jslim.summaries._slim import add_image_summaries as add_image_summaries
from jslim.summaries._slim import add_image_summary as add_image_summary
from jslim.summaries._slim import add_scalar_summaries as add_scalar_summaries
from jslim.summaries._slim import add_scalar_summary as add_scalar_summary
from jslim.summaries._slim import add_zero_fraction_summaries as add_zero_fraction_summaries
from jslim.summaries._slim import add_zero_fraction_summary as add_zero_fraction_summary
from jslim.summaries._tables import MetricsWriter as MetricsWriter
from jslim.summaries._tables import Row as Row
from jslim.summaries._tables import read_rows as read_rows
from jslim.summaries._tensors import summarize_activation as summarize_activation
from jslim.summaries._tensors import summarize_activations as summarize_activations
from jslim.summaries._tensors import summarize_biases as summarize_biases
from jslim.summaries._tensors import summarize_collection as summarize_collection
from jslim.summaries._tensors import summarize_tensor as summarize_tensor
from jslim.summaries._tensors import summarize_tensors as summarize_tensors
from jslim.summaries._tensors import summarize_variables as summarize_variables
from jslim.summaries._tensors import summarize_weights as summarize_weights
from jslim.summaries._writer import SummaryWriter as SummaryWriter

_tf_slim_names.answer_in(__name__)
