"""Losses: one scalar each, also collected by the model that runs, as in TF-Slim.

    slim.losses.softmax_cross_entropy(logits, labels)
    slim.losses.add_loss(my_own_loss)
    total = slim.losses.get_total_loss()        # both, and the regularization losses

Predictions or logits come first and labels second. Inside a model function each loss is added to
the collection 'losses' of that model under TF-Slim's name (`softmax_cross_entropy_loss/value`).
Elsewhere a loss function only returns its value. All losses are computed and returned in float32,
for arguments of any dtype.

Weights are a scalar or line up with the first axes of the losses: for losses `[batch, height,
width]` weights `[batch]` weigh whole examples, weights `[batch, height]` whole rows. The weighted
losses are summed and divided by the number of elements whose weight is not zero (not by the sum
of the weights). If there is none the loss is 0. Differs from TF-Slim: a weight counts for all the
elements that it is broadcast to, also along axes of size 1 (in TF-Slim weights of shape `[1]` count
as one example).
"""

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.losses import metric_learning as metric_learning
from jslim.losses._classification import hinge_loss as hinge_loss
from jslim.losses._classification import log_loss as log_loss
from jslim.losses._classification import sigmoid_cross_entropy as sigmoid_cross_entropy
from jslim.losses._classification import softmax_cross_entropy as softmax_cross_entropy
from jslim.losses._classification import (
    sparse_softmax_cross_entropy as sparse_softmax_cross_entropy,
)
from jslim.losses._collections import add_loss as add_loss
from jslim.losses._collections import apply_regularization as apply_regularization
from jslim.losses._collections import get_losses as get_losses
from jslim.losses._collections import get_regularization_loss as get_regularization_loss
from jslim.losses._collections import get_regularization_losses as get_regularization_losses
from jslim.losses._collections import get_total_loss as get_total_loss
from jslim.losses._collections import named_losses as named_losses
from jslim.losses._regression import absolute_difference as absolute_difference
from jslim.losses._regression import cosine_distance as cosine_distance
from jslim.losses._regression import mean_pairwise_squared_error as mean_pairwise_squared_error
from jslim.losses._regression import mean_squared_error as mean_squared_error
from jslim.losses._regression import sum_of_squares as sum_of_squares
from jslim.losses._weighting import compute_weighted_loss as compute_weighted_loss
from jslim.losses.metric_learning import cluster_loss as cluster_loss
from jslim.losses.metric_learning import contrastive_loss as contrastive_loss
from jslim.losses.metric_learning import lifted_struct_loss as lifted_struct_loss
from jslim.losses.metric_learning import npairs_loss as npairs_loss
from jslim.losses.metric_learning import npairs_loss_multilabel as npairs_loss_multilabel
from jslim.losses.metric_learning import pairwise_distance as pairwise_distance
from jslim.losses.metric_learning import triplet_semihard_loss as triplet_semihard_loss

_tf_slim_names.answer_in(__name__)
