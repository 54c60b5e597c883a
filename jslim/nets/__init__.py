"""The networks of TF-Slim, one module a family, and `nets_factory`, the table of all of them.

Modules and not functions: the module `alexnet` holds the function `alexnet_v2`.
"""

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.nets import alexnet as alexnet
from jslim.nets import cifarnet as cifarnet
from jslim.nets import conv_blocks as conv_blocks
from jslim.nets import cyclegan as cyclegan
from jslim.nets import dcgan as dcgan
from jslim.nets import i3d as i3d
from jslim.nets import i3d_utils as i3d_utils
from jslim.nets import inception as inception
from jslim.nets import inception_resnet_v2 as inception_resnet_v2
from jslim.nets import inception_v1 as inception_v1
from jslim.nets import inception_v2 as inception_v2
from jslim.nets import inception_v3 as inception_v3
from jslim.nets import inception_v4 as inception_v4
from jslim.nets import lenet as lenet
from jslim.nets import mobilenet as mobilenet
from jslim.nets import mobilenet_v1 as mobilenet_v1
from jslim.nets import mobilenet_v2 as mobilenet_v2
from jslim.nets import mobilenet_v3 as mobilenet_v3
from jslim.nets import nasnet as nasnet
from jslim.nets import nasnet_utils as nasnet_utils
from jslim.nets import nets_factory as nets_factory
from jslim.nets import overfeat as overfeat
from jslim.nets import pix2pix as pix2pix
from jslim.nets import pnasnet as pnasnet
from jslim.nets import resnet_utils as resnet_utils
from jslim.nets import resnet_v1 as resnet_v1
from jslim.nets import resnet_v2 as resnet_v2
from jslim.nets import s3dg as s3dg
from jslim.nets import vgg as vgg
from jslim.nets.nets_factory import list_networks as list_networks

_tf_slim_names.answer_in(__name__)
