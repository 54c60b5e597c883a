"""`tf.random`: random numbers, by the keys of `init` and `apply`."""

from jslim.compat.tf._random import random_normal as normal
from jslim.compat.tf._random import random_shuffle as shuffle
from jslim.compat.tf._random import random_uniform as uniform
from jslim.compat.tf._random import truncated_normal as truncated_normal

__all__ = ["normal", "shuffle", "truncated_normal", "uniform"]
