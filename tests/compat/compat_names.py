"""The public names of `jslim.compat.tf`, as users write them without `tf.`: 'nn.relu'."""

import ast
import pathlib

from jslim.compat import tf

_MODULES = (
    "app compat errors flags gfile image initializers io layers logging losses math nn python_io "
    "random summary test train contrib.metrics contrib.training"
)


def _named_in(file):
    """The names that a module defines, or imports under their own names for its users."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and "__all__" in ast.unparse(node.targets[0]):
            yield from ast.literal_eval(node.value)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (a.name for a in node.names if a.asname == a.name)


def public_names():
    """All names but modules and the re-exports of `contrib`, in order."""
    root = pathlib.Path(tf.__file__).parent
    files = {"": root / "__init__.py"} | {
        f"{m}.": root / f"{m.replace('.', '/')}.py" for m in _MODULES.split()
    }
    return [
        prefix + name
        for prefix, file in files.items()
        for name in dict.fromkeys(_named_in(file))
        if not name.startswith("_") and not (root / f"{name}.py").exists() and name != "contrib"
    ]


def looked_up(name):
    """The object of a name."""
    held = tf
    for part in name.split("."):
        held = getattr(held, part)
    return held


if __name__ == "__main__":
    print("\n".join(name for name in public_names() if callable(looked_up(name))))
