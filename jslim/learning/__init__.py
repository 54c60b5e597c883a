"""Training: `create_train_op` makes the step, `train` runs it and keeps checkpoints.

    train_op = slim.learning.create_train_op(total_loss, optax.sgd(1e-3))
    state = slim.learning.train(train_op, batches, logdir, number_of_steps=1000)

or by hand:

    state = train_op.init(jax.random.key(0), batch)
    state, outputs = train_op(state, batch)
"""

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.learning.clipping import AdaptiveClippingState as AdaptiveClippingState
from jslim.learning.clipping import adaptive_clipping_fn as adaptive_clipping_fn
from jslim.learning.gradients import add_gradients_summaries as add_gradients_summaries
from jslim.learning.gradients import clip_by_global_norm as clip_by_global_norm
from jslim.learning.gradients import clip_gradient_norms as clip_gradient_norms
from jslim.learning.gradients import multiply_gradients as multiply_gradients
from jslim.learning.hooks import Every as Every
from jslim.learning.loop import train as train
from jslim.learning.memory import keep_freed_memory as keep_freed_memory
from jslim.learning.mesh import data_mesh as data_mesh
from jslim.learning.mesh import shard_batch as shard_batch
from jslim.learning.optimizing import OPTIMIZER_SUMMARIES as OPTIMIZER_SUMMARIES
from jslim.learning.optimizing import optimize_loss as optimize_loss
from jslim.learning.rate_finder import LearningRateTest as LearningRateTest
from jslim.learning.rate_finder import find_learning_rate as find_learning_rate
from jslim.learning.sharding import DATA_PARALLEL as DATA_PARALLEL
from jslim.learning.sharding import FULLY_SHARDED as FULLY_SHARDED
from jslim.learning.sharding import largest_axis as largest_axis
from jslim.learning.sharding import state_shardings as state_shardings
from jslim.learning.state import TrainState as TrainState
from jslim.learning.step import create_train_op as create_train_op
from jslim.learning.train_op import TrainOp as TrainOp

_tf_slim_names.answer_in(__name__)
