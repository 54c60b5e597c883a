"""Makes tf_slim_names.json: the public names of TF-Slim's modules.

Run with the Python that has tf_slim; nothing else is needed:

    python tests/golden/make_tf_slim_names.py

`{module as tf_slim knows it: [name]}`. What a module imports of other packages is left out, and so
are modules within the modules of a module.
"""

import ast
import inspect
import json
import pathlib
import types

import tf_slim


def assigned(module: types.ModuleType) -> set[str]:
    statements = ast.parse(inspect.getsource(module)).body
    targets = [t for s in statements if isinstance(s, ast.Assign) for t in s.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def names_of(path: str, module: types.ModuleType) -> list[str]:
    own, found = assigned(module), []
    for name, value in vars(module).items():
        is_module = isinstance(value, types.ModuleType)
        home = value.__name__ if is_module else str(getattr(value, "__module__", ""))
        if name.startswith("_") or (is_module and path.count(".") > 1):
            continue
        if home.startswith("tf_slim") or name in own:
            found.append(name)
    return sorted(found)


def collect(
    path: str, module: types.ModuleType, into: dict[str, list[str]], seen: set[int]
) -> None:
    seen.add(id(module))
    into[path] = names_of(path, module)
    for name in into[path]:
        value = getattr(module, name)
        if isinstance(value, types.ModuleType) and id(value) not in seen:
            collect(f"{path}.{name}", value, into, seen)


if __name__ == "__main__":
    names: dict[str, list[str]] = {}
    collect("tf_slim", tf_slim, names, set())
    target = pathlib.Path(__file__).with_name("tf_slim_names.json")
    target.write_text(json.dumps(names, indent=1, sort_keys=True) + "\n")
