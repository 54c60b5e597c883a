"""How convolutions and pools are computed. `_choices` says which way on which platform."""

from jslim.layers._lowering._choices import lowered_for as lowered_for
from jslim.layers._lowering._choices import on_platform as on_platform
from jslim.layers._lowering._primitives import xlas_operations as xlas_operations
from jslim.layers._lowering.convolution import convolve as convolve
from jslim.layers._lowering.convolution import convolve_transposed as convolve_transposed
from jslim.layers._lowering.convolution import multiply as multiply
from jslim.layers._lowering.depthwise import convolve_depthwise as convolve_depthwise
from jslim.layers._lowering.pooling import pool_max as pool_max
from jslim.layers._lowering.pooling import pool_sum as pool_sum
