"""The blocks of Inception V4 by themselves: they are those of the network."""

import net_checks
import pytest

import jslim as slim
from jslim.nets import inception_v4

BLOCKS = [
    # name, the part of the network that it is, channels of its inputs
    ("block_inception_a", "Mixed_5b", 384),
    ("block_reduction_a", "Mixed_6a", 384),
    ("block_inception_b", "Mixed_6b", 1024),
    ("block_reduction_b", "Mixed_7a", 1024),
    ("block_inception_c", "Mixed_7b", 1536),
]


@pytest.mark.parametrize(("name", "part", "channels"), BLOCKS)
def test_block_has_the_variables_of_its_part_of_the_network(name, part, channels):
    block = getattr(inception_v4, name)

    def twice(images):
        scope = inception_v4.inception_v4_arg_scope()
        with slim.arg_scope(scope), slim.arg_scope([slim.batch_norm], is_training=False):
            block(images, scope="net")
            block(images, scope="net", reuse=True)
            return block(images)

    rows = net_checks.structure(twice, (8, 8, channels)).variables
    named = [[row[0].removeprefix("net/"), *row[1:]] for row in rows if row[0][:4] == "net/"]
    default = "".join(word.capitalize() for word in name.split("_"))
    others = [row[0] for row in rows if row[0][:4] != "net/"]
    assert others == [f"{default}/{row[0]}" for row in named]
    prefix = f"InceptionV4/{part}/"
    tree = net_checks.load_tree("inception_v4")["variables"]
    wanted = [[row[0].removeprefix(prefix), *row[1:]] for row in tree if row[0].startswith(prefix)]
    assert named == wanted
    assert block.__name__ == name
    assert default in block.__doc__
