"""Makes batch_norm_steps.json: the variables of TF-Slim's batch_norm after several training steps.

Usage: ORACLE=<folder of oracle.py> <the oracle's python> make_batch_norm.py

Each case is the arguments of `slim.batch_norm`, in Python. The file holds for each the batches, and
for each step the output and every variable after it, from TF-Slim's own initial values.
"""

import json
import os
import pathlib
import sys

sys.path.insert(0, os.environ["ORACLE"])
import oracle
import recipe

tf, slim = oracle.tf, oracle.slim
STEPS = 4
CASES = [
    "decay=0.9",
    "decay=0.9, fused=False",
    "zero_debias_moving_mean=True",
    "zero_debias_moving_mean=True, decay=0.7, fused=False, scale=True",
    "renorm=True, decay=0.8, renorm_decay=0.6, scale=True",
    "renorm=True, renorm_clipping={'rmax': 1.1, 'rmin': 0.9, 'dmax': 0.1}, renorm_decay=0.5",
    "renorm=True, param_initializers={'moving_mean': slim.constant_initializer(0.3), "
    "'moving_variance': slim.constant_initializer(0.25)}",
    "batch_weights=[1.0, 0.5, 0.0, 2.0], decay=0.6",
    "batch_weights=[1.0, 0.5, 0.0, 2.0], zero_debias_moving_mean=True, decay=0.6",
    "adjustment=lambda shape: ([1.1, 0.8], [0.1, 0.2]), renorm=True, renorm_decay=0.6, decay=0.6",
]


def run(arguments: str) -> dict:
    slim.constant_initializer = tf.constant_initializer
    batches = [recipe.uniform(step, "batch", (4, 2, 1, 2), -1, 2) for step in range(STEPS)]
    with tf.Graph().as_default(), oracle.session() as session:
        x = tf.placeholder(tf.float32, batches[0].shape)
        y = eval(f"slim.batch_norm(x, {arguments})", {"slim": slim, "x": x})
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        session.run(tf.global_variables_initializer())
        steps = []
        for batch in batches:
            output, _ = session.run([y, updates], {x: batch})
            variables = {
                v.op.name: session.run(v).tolist()
                for v in tf.global_variables()
                if v not in tf.trainable_variables()
            }
            steps.append({"output": output.ravel().tolist(), "variables": variables})
    flat = [batch.ravel().tolist() for batch in batches]
    return {"arguments": arguments, "shape": [4, 2, 1, 2], "batches": flat, "steps": steps}


path = pathlib.Path(__file__).parent / "batch_norm_steps.json"
path.write_text(json.dumps([run(arguments) for arguments in CASES]))
print(f"{path.name}: {len(CASES)} cases, {path.stat().st_size:,} bytes")
