"""What eval.py writes beside its metrics, against scikit-learn on the predictions it wrote."""

import csv
import json
import re

import jax
import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

import jslim as slim
from jslim import data
from jslim.cli import evaluate, reports, statistics, train
from jslim.nets import nets_factory


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """LeNet after so few steps that it is often wrong."""
    directory = tmp_path_factory.mktemp("trained")
    flags = [
        "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
        "--batch_size=16", "--optimizer=momentum", "--save_summaries_secs=0",
        f"--train_dir={directory}", "--max_number_of_steps=12",
    ]  # fmt: skip
    assert train.main(flags) == 0
    return directory


def run(trained, *flags):
    arguments = ["eval.py", "--dataset_name=digits", f"--checkpoint_path={trained}", *flags]
    return evaluate.main(arguments)


@pytest.mark.long
def test_predictions_of_all_images_in_order(trained, tmp_path, capfd):
    digits = data.get_dataset("digits", "test")
    path = tmp_path / "new" / "predictions.csv"
    assert run(trained, f"--predictions_file={path}", "--batch_size=50") == 0
    captured = capfd.readouterr()
    assert f"wrote {path}" in captured.err
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["record"] for row in rows] == [f"digits/test:{i}" for i in range(len(digits))]
    assert [int(row["label"]) for row in rows] == digits.labels.tolist()
    right = [row["label"] == row["prediction"] for row in rows]
    assert [row["is_right"] == "1" for row in rows] == right
    accuracy = float(re.search(r"eval/Accuracy\[([\d.]+)\]", captured.out)[1])
    assert np.mean(right) == pytest.approx(accuracy, abs=1e-4)
    losses = [-np.log(max(float(row["probability_of_label"]), 1e-6)) for row in rows]
    loss = float(re.search(r"eval/Loss\[([\d.]+)\]", captured.out)[1])
    assert np.mean(losses) == pytest.approx(loss, rel=1e-2)
    same = tmp_path / "predictions.jsonl"
    assert run(trained, f"--predictions_file={same}", "--batch_size=8", "--num_clones=8") == 0
    lines = [json.loads(line) for line in same.read_text().splitlines()]
    assert [line["prediction"] for line in lines] == [row["prediction"] for row in rows]
    assert [line["is_right"] for line in lines] == right


def test_table_of_classes_and_confusion_matrix(trained, tmp_path, capfd):
    path = tmp_path / "predictions.csv"
    image = tmp_path / "plots" / "matrix.png"
    flags = [f"--predictions_file={path}", "--per_class", f"--confusion_matrix_file={image}"]
    assert run(trained, *flags) == 0
    captured = capfd.readouterr()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    labels, predictions = ([int(row[key]) for row in rows] for key in ("label", "prediction"))
    matrix = sklearn.metrics.confusion_matrix(labels, predictions, labels=range(10))
    scores = sklearn.metrics.precision_recall_fscore_support(
        labels, predictions, labels=range(10), zero_division=0
    )
    lines = captured.out.splitlines()
    start = lines.index("class  precision  recall      F1  images") + 1
    for number, line in enumerate(lines[start : start + 10]):
        name, *found = line.split()
        assert name == str(number)
        wanted = [column[number] for column in scores]
        np.testing.assert_allclose([float(x) for x in found], wanted, atol=6e-5)
    mean = lines[start + 10].split()
    np.testing.assert_allclose(float(mean[2]), np.mean(scores[1]), atol=6e-5)
    first = start + 13
    found = [[int(cell) for cell in line.split()[2:]] for line in lines[first : first + 10]]
    np.testing.assert_array_equal(found, matrix)
    with Image.open(image) as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) > 100
        pixels = np.asarray(drawn)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10
    assert f"drew {image}" in captured.err


@pytest.mark.parametrize("count", [2, 10, 40, 300])
def test_matrix_of_any_number_of_classes_is_drawn(tmp_path, count):
    matrix = np.eye(count) * 7
    names = [f"class number {i}" for i in range(count)]
    path = tmp_path / "matrix.png"
    reports.save_matrix_image(str(path), matrix, names)
    with Image.open(path) as drawn:
        assert max(drawn.size) < 1600
        pixels = np.asarray(drawn.convert("L"))
    # The diagonal alone is dark.
    dark = np.argwhere(pixels[-20:, -20:] < 100)
    assert len(dark)


def test_loop_writes_the_reports_of_each_checkpoint(trained, tmp_path, capfd):
    flags = [f"--predictions_file={tmp_path / 'x.csv'}", "--per_class"]
    assert run(trained, "--eval_interval_secs=1", *flags) == 0
    assert "class  precision  recall" in capfd.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["x-12.csv"]
    assert run(trained, *flags) == 0
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "x-12.csv").read_bytes()


def values_of(output):
    return {name: float(text) for name, text in re.findall(r"eval/(\S+?)\[([-\d.]+)\]", output)}


@pytest.mark.long
def test_metrics_by_name_equal_scikit_learn(trained, tmp_path, capfd):
    names = (
        "MeanPrecision,MeanRecall,MeanF1,CohenKappa,MeanIOU,Recall_1,Recall_3,AveragePrecision_4"
    )
    flags = [f"--metrics={names}", f"--predictions_file={tmp_path / 'x.csv'}"]
    assert run(trained, *flags, "--batch_size=7") == 0
    found = values_of(capfd.readouterr().out)
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    labels, predictions = ([int(row[key]) for row in rows] for key in ("label", "prediction"))
    options = {"average": "macro", "zero_division": 0}
    classifier = slim.load(trained)
    images = data.get_dataset("digits", "test").images
    scores = classifier.predict(list(images)).probabilities
    ranks = np.argsort(np.argsort(-scores, 1), 1)[np.arange(len(labels)), labels]
    wanted = {
        "MeanPrecision": sklearn.metrics.precision_score(labels, predictions, **options),
        "MeanRecall": sklearn.metrics.recall_score(labels, predictions, **options),
        "MeanF1": sklearn.metrics.f1_score(labels, predictions, **options),
        "CohenKappa": sklearn.metrics.cohen_kappa_score(labels, predictions),
        "MeanIOU": sklearn.metrics.jaccard_score(labels, predictions, **options),
        "Recall_1": sklearn.metrics.accuracy_score(labels, predictions),
        "Recall_3": sklearn.metrics.top_k_accuracy_score(labels, scores, k=3),
        "AveragePrecision_4": np.mean(np.where(ranks < 4, 1 / (ranks + 1), 0)),
    }
    assert list(found) == list(wanted) == names.split(",")
    np.testing.assert_allclose(list(found.values()), list(wanted.values()), atol=6e-5)


@pytest.mark.long
def test_metrics_of_two_classes_equal_scikit_learn(tmp_path, capfd):
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for label, name in enumerate(["no", "yes"]):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for number in range(25):
                level = 110 + 20 * label + rng.normal(0, 15)
                pixels = np.clip(rng.normal(level, 30, (28, 28, 3)), 0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    common = ["--dataset_name=folder", f"--dataset_dir={tmp_path / 'images'}"]
    arguments = [
        "train.py", *common, "--model_name=lenet", "--batch_size=10", "--save_summaries_secs=0",
        f"--train_dir={tmp_path / 'run'}", "--max_number_of_steps=5", "--learning_rate=0.0005",
        "--train_image_size=8",
    ]  # fmt: skip
    assert train.main(arguments) == 0
    names = "Precision,Recall,AUC,AUC_PR,PrecisionAtRecall_0.8,SensitivityAtSpecificity_0.6"
    path = tmp_path / "x.csv"
    arguments = [
        "eval.py", *common, f"--checkpoint_path={tmp_path / 'run'}", f"--metrics={names}",
        f"--predictions_file={path}", "--batch_size=8",
    ]  # fmt: skip
    assert evaluate.main(arguments) == 0
    found = values_of(capfd.readouterr().out)
    assert list(found) == names.split(",")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    labels, predictions = ([row[key] == "yes" for row in rows] for key in ("label", "prediction"))
    of_label = np.array([float(row["probability_of_label"]) for row in rows])
    scores = np.where(labels, of_label, 1 - of_label)
    assert found["Precision"] == pytest.approx(
        sklearn.metrics.precision_score(labels, predictions, zero_division=0), abs=6e-5
    )
    assert found["Recall"] == pytest.approx(
        sklearn.metrics.recall_score(labels, predictions), abs=6e-5
    )
    # 200 thresholds; scikit-learn has one at every score.
    assert found["AUC"] == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores), abs=0.03)
    assert found["AUC_PR"] == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores), abs=0.05
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("Acuracy", "--metrics: there is no metric 'Acuracy'; give some of Accuracy, Loss, "),
        ("Acuracy", "did you mean 'Accuracy'"),
        ("Accuracy,Recall_x", "--metrics: Recall_K has a number where Recall_x has 'x'"),
        ("Recall_0", "--metrics: Recall_0 needs a number from 1 to the 10 classes"),
        ("Recall_11", "--metrics: Recall_11 needs a number from 1 to the 10 classes"),
        ("AUC", "--metrics: AUC is of two classes, the second one positive; there are 10"),
    ],
)
def test_what_is_wrong_with_metrics_is_said(trained, names, message, capfd):
    assert run(trained, f"--metrics={names}") == 2
    assert message in capfd.readouterr().err


def small_network(decay):
    """A network with batch normalization that learns the digits in a few steps."""

    @slim.nets._common.with_image_size(8)
    def small(images, num_classes=10, is_training=True):
        norm = {"is_training": is_training, "decay": decay}
        with slim.arg_scope([slim.conv2d], normalizer_fn=slim.batch_norm, normalizer_params=norm):
            net = slim.conv2d(30 * images + 90, 32, [3, 3], stride=2, scope="conv1")
            net = slim.conv2d(net, 32, [3, 3], scope="conv2")
        logits = slim.fully_connected(
            slim.flatten(net), num_classes, activation_fn=None, scope="logits"
        )
        return logits, {}

    def arg_scope(weight_decay=0.0):
        with slim.arg_scope([slim.conv2d], padding="SAME") as scope:
            return scope

    return nets_factory.Network(small, arg_scope, "lenet", 0, ("logits",))


@pytest.mark.long
@pytest.mark.parametrize(
    ("decay", "has_converged", "flags"),
    [(0.9997, False, []), (0.5, True, []), (0.9997, False, ["--eval_interval_secs=1"])],
)
def test_moving_statistics_that_have_not_converged_are_a_warning(
    decay, has_converged, flags, tmp_path, capfd, monkeypatch
):
    monkeypatch.setitem(nets_factory.NETWORKS, "small", small_network(decay))
    arguments = [
        "train.py", "--dataset_name=digits", "--model_name=small", "--batch_size=32",
        "--optimizer=momentum", "--learning_rate=0.05", "--save_summaries_secs=0",
        f"--train_dir={tmp_path}", "--max_number_of_steps=60",
    ]  # fmt: skip
    assert train.main(arguments) == 0
    capfd.readouterr()
    assert run(tmp_path, *flags) == 0
    message = capfd.readouterr().err
    warning = (
        r"batch normalization's moving statistics have not converged after 60 steps: on the first "
        r"300 images accuracy is (0\.\d\d) with them, and (0\.\d\d) with the statistics of the "
        r"batches, as in training; train longer, or lower the decay of batch_norm"
    )
    fine = r"batch normalization: accuracy (0\.\d\d) with moving statistics, (0\.\d\d) with those"
    found = re.search(fine if has_converged else warning, message)
    assert found, message
    assert float(found[2]) > 0.9
    assert (float(found[1]) > 0.9) == has_converged


@pytest.mark.parametrize(("batch_size", "num_lines"), [(100, 1), (400, 0)])
def test_statistics_are_compared_on_full_batches_only(batch_size, num_lines, caplog):
    def network(images, is_training):
        return slim.linear(slim.flatten(images), 10), {}

    batches = data.batches(
        data.get_dataset("digits", "test"),  # 360 images
        batch_size,
        is_training=False,
        preprocessing_fn=lambda image: image.astype(np.float32),
    )
    images = np.zeros((1, 8, 8, 1), np.float32)
    variables = slim.Model(network).init(jax.random.key(0), images, is_training=False)
    weights = slim.checkpoints.Weights("model", 1, {}, variables, False, False)
    with caplog.at_level("INFO", "jslim"):
        statistics.statistics_check(network, batches)(weights)
    lines = [line for line in caplog.messages if line.startswith("batch normalization")]
    assert len(lines) == num_lines
    assert all(line.endswith("on the first 300 images") for line in lines)
