"""How convolutions and pools are computed, chosen per backend: the one place that does so.

XLA's CPU backend has a fast path for ordinary convolutions only. Measured on two cores, batch 8
to 128, jax 0.10.2; `python -m benchmarks.lowerings` prints how many times as fast these are:

                                              forward      with gradients
    depthwise convolution by shifts           8 to 28      1.4 to 30
    1x1 convolution as a matrix product       0.9 to 3.7   1.9 to 6
    max pool by shifts, rows then columns     0.7 to 24    1.2 to 15
    average pool up to 3x3 by shifts          0.7 to 2.3   1.2 to 8

For larger windows the gradient of an average pool by shifts costs more than it saves, and shifts
by the dozen take long to trace. Other backends get XLA's operations. The backend is
`jax.default_backend()`: asking for the platform that a trace is lowered for would trace every
layer once per platform, and either way the numbers are equal.
"""

from jslim.layers._lowering.convolution import convolve as convolve
from jslim.layers._lowering.convolution import convolve_transposed as convolve_transposed
from jslim.layers._lowering.convolution import multiply as multiply
from jslim.layers._lowering.depthwise import convolve_depthwise as convolve_depthwise
from jslim.layers._lowering.pooling import pool_max as pool_max
from jslim.layers._lowering.pooling import pool_sum as pool_sum
