"""TensorFlow's checkpoints, read and written without TensorFlow.

    reader = tf_checkpoint.load_checkpoint('inception_v3.ckpt')
    reader.get_variable_to_shape_map()      # {'InceptionV3/Conv2d_1a_3x3/weights': (3, 3, 3, 32),
    reader.get_tensor('InceptionV3/Conv2d_1a_3x3/weights')

    tf_checkpoint.save_checkpoint('model.ckpt-0', variables)     # which TF-Slim can restore

Both versions are read: V2, an index and data files, and V1, one file or several. Checksums are
compared, and only the tensors that are asked for are read. `_locate` finds the files, `_v1` and
`_v2` read the versions, and `_table`, `_tensors` and `_wire` are the formats inside them.
"""

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.tf_checkpoint._reading import CheckpointReader as CheckpointReader
from jslim.tf_checkpoint._reading import all_checkpoints as all_checkpoints
from jslim.tf_checkpoint._reading import find_checkpoint as find_checkpoint
from jslim.tf_checkpoint._reading import is_checkpoint as is_checkpoint
from jslim.tf_checkpoint._reading import latest_checkpoint as latest_checkpoint
from jslim.tf_checkpoint._reading import list_variables as list_variables
from jslim.tf_checkpoint._reading import load_checkpoint as load_checkpoint
from jslim.tf_checkpoint._reading import load_variable as load_variable
from jslim.tf_checkpoint._writing import save_checkpoint as save_checkpoint

_tf_slim_names.answer_in(__name__)
