"""The names that `jslim` imports at their first use.

Type checkers read this module as it is. At run time it is not imported: `core.later` notes what
each import says, and `jslim` carries out one of them at a time.
"""

from jslim import checkpoints as checkpoints
from jslim import data as data
from jslim import evaluation as evaluation
from jslim import export as export
from jslim import learning as learning
from jslim import model_analyzer as model_analyzer
from jslim import nets as nets
from jslim import optimizers as optimizers
from jslim import prediction as prediction
from jslim import preprocessing as preprocessing
from jslim import tf_checkpoint as tf_checkpoint
from jslim import training as training
from jslim.checkpoints import assign_from_checkpoint as assign_from_checkpoint
from jslim.checkpoints import assign_from_checkpoint_fn as assign_from_checkpoint_fn
from jslim.checkpoints import assign_from_values as assign_from_values
from jslim.checkpoints import assign_from_values_fn as assign_from_values_fn
from jslim.data import tfexample_decoder as tfexample_decoder
from jslim.layer_table import summary_table as summary_table
from jslim.learning import OPTIMIZER_SUMMARIES as OPTIMIZER_SUMMARIES
from jslim.learning import adaptive_clipping_fn as adaptive_clipping_fn
from jslim.learning import optimize_loss as optimize_loss
from jslim.optimizers import OPTIMIZER_CLS_NAMES as OPTIMIZER_CLS_NAMES
from jslim.prediction import load as load
from jslim.tf_queues import dataset as dataset
from jslim.tf_queues import dataset_data_provider as dataset_data_provider
from jslim.tf_queues import parallel_reader as parallel_reader
from jslim.tf_queues import prefetch_queue as prefetch_queue
from jslim.tf_queues import queues as queues
