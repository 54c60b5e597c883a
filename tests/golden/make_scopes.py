"""Makes scopes.json: random nests of variable scopes, with the names that TensorFlow gives.

Run with the Python that has TensorFlow 2.x; nothing else is needed:

    python tests/golden/make_scopes.py

Each program is a list of steps. `["var", name]` gets a variable. `["scope", name, default_name,
reuse, saved, body]` runs `body` in a scope: the `saved`-th one entered so far in the program
where that is a number, otherwise `name` or the numbered `default_name`. `names` holds what came
out, in order: the full name of each variable, or "error".
"""

import json
import pathlib
import random

PROGRAMS = 40
VARIABLES = ("w", "v", "u", "t", "s", "r", "q", "p")
NAMES = ("a", "b", "a/b", "Conv", "Conv_1")
DEFAULTS = ("Conv", "a", "fc")
REUSES = (None, None, None, None, None, True, "AUTO_REUSE")


def make_body(rng: random.Random, depth: int) -> list:
    body = []
    for _ in range(rng.randint(1, 3)):
        if depth and rng.random() < 0.7:
            kind = rng.random()
            name = default = saved = None
            reuse = rng.choice(REUSES)
            if kind < 0.4:
                default = rng.choice(DEFAULTS)
                reuse = reuse if rng.random() < 0.1 else None
            elif kind < 0.8:
                name = rng.choice(NAMES)
            else:
                saved = rng.randint(0, 9)
            body.append(["scope", name, default, reuse, saved, make_body(rng, depth - 1)])
        else:
            body.append(["var", rng.choice(VARIABLES)])
    return body


def run(body: list, names: list, scopes: list) -> None:
    import tensorflow.compat.v1 as tf

    for step in body:
        try:
            if step[0] == "var":
                names.append(tf.get_variable(step[1], shape=[2]).op.name)
                continue
            _, name, default, reuse, saved, inner = step
            if saved is not None:
                name = scopes[saved % len(scopes)] if scopes else "a"
            reuse = tf.AUTO_REUSE if reuse == "AUTO_REUSE" else reuse
            with tf.variable_scope(name, default, reuse=reuse) as scope:
                scopes.append(scope)
                run(inner, names, scopes)
        except ValueError:
            names.append("error")


def main() -> None:
    import tensorflow.compat.v1 as tf

    programs = []
    for seed in range(PROGRAMS):
        body = make_body(random.Random(seed), 5)
        names: list[str] = []
        with tf.Graph().as_default():
            run(body, names, [])
        programs.append({"body": body, "names": names})
    path = pathlib.Path(__file__).parent / "scopes.json"
    lines = [json.dumps(program, separators=(",", ":")) for program in programs]
    path.write_text("[" + ",\n".join(lines) + "]\n")


if __name__ == "__main__":
    main()
