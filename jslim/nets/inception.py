"""All Inception networks by one import, as `inception.inception_v3`."""

from jslim.nets.inception_resnet_v2 import inception_resnet_v2 as inception_resnet_v2
from jslim.nets.inception_resnet_v2 import (
    inception_resnet_v2_arg_scope as inception_resnet_v2_arg_scope,
)
from jslim.nets.inception_resnet_v2 import inception_resnet_v2_base as inception_resnet_v2_base
from jslim.nets.inception_v1 import inception_v1 as inception_v1
from jslim.nets.inception_v1 import inception_v1_arg_scope as inception_v1_arg_scope
from jslim.nets.inception_v1 import inception_v1_base as inception_v1_base
from jslim.nets.inception_v2 import inception_v2 as inception_v2
from jslim.nets.inception_v2 import inception_v2_arg_scope as inception_v2_arg_scope
from jslim.nets.inception_v2 import inception_v2_base as inception_v2_base
from jslim.nets.inception_v3 import inception_v3 as inception_v3
from jslim.nets.inception_v3 import inception_v3_arg_scope as inception_v3_arg_scope
from jslim.nets.inception_v3 import inception_v3_base as inception_v3_base
from jslim.nets.inception_v4 import inception_v4 as inception_v4
from jslim.nets.inception_v4 import inception_v4_arg_scope as inception_v4_arg_scope
from jslim.nets.inception_v4 import inception_v4_base as inception_v4_base
