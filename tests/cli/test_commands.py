"""`jslim COMMAND`: its commands, their help, lists, completion, and output that is cut."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys

import pytest

from jslim.cli import completion, listing, tables
from jslim.cli import main as jslim_command
from jslim.cli.commands import COMMANDS, config_class, summary_of
from jslim.cli.flags import flags_of
from jslim.cli.networks import NETWORKS
from jslim.nets import nets_factory


def main(*words):
    return jslim_command.main(["/usr/bin/jslim", *words])


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_without_a_command_the_commands_are_listed(capfd):
    assert main() == 2
    page = capfd.readouterr().out
    assert main("--help") == 0
    assert capfd.readouterr().out == page
    assert re.findall(r"^  (\w+)", page, re.MULTILINE) == list(COMMANDS)
    assert max(map(len, page.splitlines())) <= 80


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("trian", "there is no command 'trian'; give one of train, eval, predict, export, convert, "
         "port, models, datasets, inspect, run, runs, plot, completion; did you mean 'train'?"),
        ("--json", "the command comes first: jslim COMMAND --json"),
        ("--train", "the command comes first: jslim COMMAND --train; did you mean 'train'?"),
    ],
)  # fmt: skip
def test_what_is_no_command_is_said(word, message, capfd):
    assert main(word) == 2
    assert capfd.readouterr() == ("", f"jslim: {message}\n")


def test_the_version(capfd):
    assert main("--version") == 0
    versions = [importlib.metadata.version(name) for name in ("jslim", "jax")]
    out = capfd.readouterr().out
    assert out.startswith("jslim {} (jax {}, Python 3.".format(*versions))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_every_flag_in_80_columns(name, capfd):
    assert main(name, "--help=all") == 0
    whole = capfd.readouterr().out
    for flag in ("--helpfull", "--help=all"):
        assert main(name, flag) == 0
        assert capfd.readouterr().out == whole
    config = config_class(COMMANDS[name])
    assert summary_of(config) == COMMANDS[name].summary
    assert " ".join(whole.split()).startswith(
        f"usage: jslim {name} {config.usage} {COMMANDS[name].summary}"
    )
    assert max(map(len, whole.splitlines())) <= 80
    for one in flags_of(config):
        assert re.search(rf"^  (-h, )?--(\[no\])?{one.name}[=\s]", whole, re.MULTILINE), one.name
    assert main(name, "-h") == 0
    assert main("help", name) == 0
    pages = capfd.readouterr().out
    first = pages[: len(pages) // 2]
    assert pages == first * 2
    if not config.first_flags:
        assert first == whole
    else:
        named = re.findall(r"^  --(?:\[no\])?(\w+)", first, re.MULTILINE)
        assert named == list(config.first_flags)
        assert len(named) == 10
        count = sum(1 for _ in flags_of(config))
        assert first.endswith(f"All {count} flags: jslim {name} --help=all\n")


def test_help_of_a_narrow_terminal_has_narrow_lines(monkeypatch, capfd):
    monkeypatch.setenv("COLUMNS", "10")
    assert main("datasets", "--help") == 0
    assert max(map(len, capfd.readouterr().out.splitlines())) <= 60


def test_help_says_defaults_choices_and_what_goes_with_what(capfd):
    assert main("train", "--help=all") == 0
    text = " ".join(capfd.readouterr().out.split())
    assert "--batch_size=N Images in each batch of each clone. (default: 32)" in text
    assert "--dtype=float32|bfloat16 What the layers compute in." in text
    assert (
        "Where polynomial and cosine decay end. Goes with --learning_rate_decay_type=polyn" in text
    )
    assert main("eval", "--help=some") == 2
    assert "--help=some" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("variables", "default"),
    [
        ({}, "~/.cache/jslim/xla"),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/jslim/xla"),
        ({"XDG_CACHE_HOME": "/caches", "JAX_COMPILATION_CACHE_DIR": "/programs"}, "/programs"),
    ],
)
def test_the_environment_says_where_compiled_programs_are_kept(variables, default):
    names = ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-m", "jslim", "train", "--help=all"]
    done = subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=True)
    assert f"(default: {default})" in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_accepted_command_lines(name):
    from jslim.cli import flagfiles
    from jslim.cli.flags import flag_values

    config = config_class(COMMANDS[name])
    for example in config.examples:
        words = [word.strip("'") for word in example.partition(" > ")[0].split()]
        assert words[0] == "{program}"
        rest = flagfiles.parse(flag_values(config), words)[1:]
        assert config.takes_arguments or not rest


def test_flags_are_taken_after_arguments_too(capfd):
    assert main("models", "lenet", "--json") == 0
    assert json.loads(capfd.readouterr().out)[0]["name"] == "lenet"
    assert main("models", "--jsn", "lenet") == 2
    assert "Unknown command line flag 'jsn'. Did you mean: json" in capfd.readouterr().err


def test_models_lists_all_networks_and_their_sizes(capfd):
    assert main("models", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert list(rows) == nets_factory.list_networks()
    assert rows["resnet_v2_50"] == {
        "name": "resnet_v2_50",
        "parameters": 25568360,
        "flops": NETWORKS["resnet_v2_50"].flops,
        "image_size": 299,
        "takes_videos": False,
        "preprocessing": "inception",
        "weights": ["tf-slim/resnet_v2_50_2017_04_14"],
    }
    assert main("models") == 0
    header, *lines = capfd.readouterr().out.splitlines()
    assert header.split() == ["name", "parameters", "MFLOPs", "image", "preprocessing"]
    assert len(lines) == len(rows)
    assert max(map(len, lines)) <= 80
    assert "vgg_16                           138,357,544   30,941    224  vgg" in lines


def test_models_are_chosen_by_the_beginnings_of_names_and_by_patterns(capfd):
    assert main("models", "--json", "lenet", "resnet_v?_50", "mobilenet_v3_small") == 0
    assert [row["name"] for row in json.loads(capfd.readouterr().out)] == [
        "lenet", "mobilenet_v3_small", "mobilenet_v3_small_075",
        "mobilenet_v3_small_minimalistic", "resnet_v1_50", "resnet_v2_50",
    ]  # fmt: skip
    assert main("models", "lenet", "resnet_v3") == 2
    assert "no network matches 'resnet_v3'; did you mean 'resnet_v" in capfd.readouterr().err


def test_models_lists_published_weights(capfd):
    assert main("models", "--weights", "vgg_16", "timm/inception_v4") == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["name", "network", "MB", "top-1", "image", "classes"],
        ["tf-slim/vgg_16_2016_08_28", "vgg_16", "553", "71.5", "224", "1000"],
        ["timm/inception_v4.tf_in1k", "inception_v4", "184", "80.2", "299", "1000"],
        ["keras/VGG16", "vgg_16", "553", "71.3", "224", "1000"],
    ]
    assert main("models", "--weights", "vgg_17") == 2
    assert "no published weights match 'vgg_17'; did you mean " in capfd.readouterr().err


def test_datasets_lists_the_kinds_and_shows_one(capfd):
    assert main("datasets") == 0
    out = capfd.readouterr().out
    assert (
        "\nfolder           DATASET_DIR[/SPLIT]/CLASS/*.jpg, or a zip or tar file of that\n" in out
    )
    assert main("datasets", "--dataset_name=digits", "--labels_offset=8") == 0
    assert capfd.readouterr().out == (
        "digits/train: 1437 images of 2 classes; the first, digits/train:0, is 8 x 8 x 1\n"
        "label  class\n    0  8\n    1  9\n"
    )
    assert main("datasets", "--dataset_name=digits", "--dataset_split_name=test", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["images"], found["classes"][:2]) == (360, ["0", "1"])
    assert main("datasets", "--dataset_name=digit") == 2
    assert "did you mean 'digits'" in capfd.readouterr().err


def completed(script, *words):
    """What bash offers for the last of the words."""
    lines = [
        f"source {script}", 'COMP_WORDS=("$@"); COMP_CWORD=$(($#-1))', '_jslim "$1"',
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines), "bash", *words], capture_output=True, text=True, check=True
    )
    return done.stdout.split("\n")[:-1]


def test_bash_completes_commands_flags_values_and_files(tmp_path, capfd):
    assert main("completion", "bash") == 0
    script = tmp_path / "jslim.bash"
    script.write_text(capfd.readouterr().out)
    assert completed(script, "jslim", "") == list(COMMANDS)
    assert completed(script, "jslim", "ex") == ["export"]
    for name, row in COMMANDS.items():
        offered = completed(script, "jslim", name, "--")
        flags = [*flags_of(config_class(row))]
        assert [word.rstrip("=") for word in offered] == [f"--{one.name}" for one in flags]
    assert completed(script, "jslim", "train", "--learning_rate_d") == [
        "--learning_rate_decay_type=", "--learning_rate_decay_factor="
    ]  # fmt: skip
    assert completed(script, "/usr/bin/jslim-eval", "--per") == ["--per_class"]
    assert completed(script, "jslim", "train", "--dtype", "=") == ["float32", "bfloat16"]
    assert completed(script, "jslim", "train", "--model_name", "=", "len") == ["lenet"]
    assert completed(script, "jslim", "train", "--dataset_dir", "=", f"{tmp_path}/js") == [
        str(script)
    ]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_every_command_and_flag(shell, capfd):
    assert main("completion", shell) == 0
    text = capfd.readouterr().out
    for name, row in COMMANDS.items():
        assert row.summary in text
        for one in flags_of(config_class(row)):
            takes_value = one.kind is not bool and one.name != "help"
            if shell == "zsh":
                assert f"'--{one.name}{'=' if takes_value else ''}[" in text
            else:
                flag = f"'__fish_seen_subcommand_from {name}' -l {one.name} -d '"
                (line,) = [line for line in text.splitlines() if flag in line]
                assert line.endswith((" -x", "'", " -F")) == (takes_value or line.endswith("'"))
    assert "--dtype=[What the layers compute in]:value:(float32 bfloat16)" in text or (
        "-l dtype -d 'What the layers compute in' -x -a 'float32 bfloat16'" in text
    )


@pytest.mark.parametrize("width", [30, 50, 80])
def test_tables_fit_into_a_terminal_and_lose_nothing(width):
    rows = [
        ["12", "TFRecord files of others, with a labels.txt", "/runs/" + "long/" * 30],
        ["5", "b", ""],
    ]
    for columns in (rows, [row[:2] for row in rows]):
        titles = ["bytes", "kind", "path"][: len(columns[0])]
        whole = listing.table(titles, columns, right=["bytes"])
        shown = listing.table(titles, columns, ["bytes"], width)
        assert max(map(len, shown.splitlines())) <= width < max(map(len, whole.splitlines())) + 40
        assert "".join(shown.split()) == "".join(whole.split())


def test_stored_flags_are_those_of_the_commands():
    """`python -m jslim.cli.tables` writes them."""
    assert completion.stored_words() == tables.words_of_all()
    assert completion.FILE.read_text("utf-8") == completion.as_text(tables.words_of_all())


@pytest.mark.parametrize(
    "words", ["", "--help", "--version", "models", "completion bash", "models --help", "train -h"]
)
def test_what_needs_no_jax_does_not_import_it(words):
    code = f"import sys; from jslim.cli.main import main; main(['jslim', *{words.split()!r}]); "
    code += "print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1] == str(words == "train -h")


def test_completion_for_no_shell_is_said(capfd):
    assert main("completion") == 2
    assert "give a shell: jslim completion bash|zsh|fish" in capfd.readouterr().err
    assert main("completion", "bsh") == 2
    message = "there is no completion for 'bsh'; give one of bash, zsh, fish; did you mean 'bash'"
    assert message in capfd.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "reader", "code"),
    [
        ("models", "true", 141),
        ("train --help=all", "true", 141),
        ("--help", "cat", 0),
    ],
)
def test_output_whose_reader_has_gone_ends_the_program_without_a_word(words, reader, code):
    command = f"set -o pipefail; {sys.executable} -m jslim {words} | {reader}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.long
def test_training_ends_where_nobody_reads_its_evaluations(tmp_path):
    flags = (
        "--dataset_name=digits --model_name=lenet --train_image_size=8 --batch_size=16 "
        f"--max_number_of_steps=100000 --eval_every=2 --train_dir={tmp_path}"
    )
    command = f"set -o pipefail; {sys.executable} -m jslim train {flags} | head -n 2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 141
    assert len(done.stdout.splitlines()) == 2
    assert "Traceback" not in done.stderr
    assert re.search(r"after_step failed after step \d+, which is saved", done.stderr)
