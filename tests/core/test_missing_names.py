"""Names in another case, or of another library, and what is offered in their place."""

import inspect
import types

import pytest

import jslim as slim
from jslim.core import other_names

NAMES = {
    "": {"Conv2D": "conv2d", "Dense": "fully_connected", "Accuracy": "metrics.accuracy"},
    "metrics": {"Accuracy": "accuracy", "AUC": "streaming_auc", "MeanIoU": "streaming_mean_iou"},
    "losses": {"SoftmaxCrossEntropy": "softmax_cross_entropy", "mse": "mean_squared_error"},
    "layers": {"BatchNorm": "batch_norm", "Dropout": "dropout"},
    "learning": {"createTrainOp": "create_train_op"},
    "training": {"Train": "train"},
    "data": {"DataLoader": "batches", "FolderDataSet": "FolderDataset"},
    "nets": {"resnet_v1_50": "resnet_v1.resnet_v1_50", "LeNet": "lenet.lenet"},
    "nets.vgg": {"VGG16": "vgg_16"},
    "preprocessing": {"get_preprocesing": "preprocessing_factory.get_preprocessing"},
    "preprocessing.preprocessing_factory": {"getPreprocessing": "get_preprocessing"},
    "checkpoints": {"restore_latests": "restore_latest"},
    "evaluation": {"evaluateOnce": "evaluate_once"},
    "optimizers": {"Adam": "adam"},
    "regularizers": {"L2Regularizer": "l2_regularizer"},
    "initializers": {"Xavier": "xavier_initializer"},
    "summaries": {"Scalar": "scalar"},
    "prediction": {"Load": "load"},
    "model_analyzer": {"countFlops": "count_flops"},
    "export": {"ExportVariables": "export_variables"},
    "tf_checkpoint": {"LoadCheckpoint": "load_checkpoint"},
    "variables": {"Variable": "variable"},
    "tfexample_decoder": {"image": "Image"},
    "queues": {"FifoQueue": "FIFOQueue"},
}


@pytest.mark.parametrize("path", NAMES)
def test_name_in_another_case_or_of_another_library_offers_the_right_one(path):
    module = slim
    for part in filter(None, path.split(".")):
        module = getattr(module, part)
    for name, meant in NAMES[path].items():
        text = f"^module '{module.__name__}' has no attribute '{name}'; did you mean '{meant}'"
        with pytest.raises(AttributeError, match=text):
            getattr(module, name)


def public_things():
    return [
        value
        for module in (slim, slim.metrics, slim.losses, slim.data, slim.optimizers)
        for name in dir(module)
        if callable(value := getattr(module, name)) and not name.startswith("_")
    ]


def test_arguments_that_are_offered_exist():
    parameters = {
        name
        for thing in [*public_things(), slim.metrics.accuracy().update]
        if not isinstance(thing, types.GenericAlias)
        for name in (inspect.signature(thing).parameters if not inspect.isclass(thing) else ())
    }
    offered = {name for names in other_names.ARGUMENTS.values() for name in names}
    assert offered - parameters == set()
    assert not {"strides", "filters", "units", "kernel"} & parameters


def test_things_that_are_offered_exist():
    names = {name for module in (slim, slim.metrics, slim.losses, slim.data, slim.optimizers)
             for name in dir(module)}  # fmt: skip
    offered = {name for found in other_names.THINGS.values() for name in found}
    assert offered - names == set()
