"""Between the module that is trained and the `Model` that is saved and run without torch: the same numbers."""

from __future__ import annotations

import torch

from quadgate.errors import InputError
from quadgate.layouts import encode
from quadgate.model import Convolutions, Member, Model, Network, Scaling
from quadgate.modules.basic_lstm import BasicLSTM
from quadgate.modules.classifier import SequenceClassifier
from quadgate.modules.convolution import LSTMFCN


def to_model(
    module: SequenceClassifier,
    labels: tuple[str | int, ...] | None = None,
    channels: tuple[str, ...] | None = None,
    scaling: Scaling | None = None,
    source: str = "",
) -> Model:
    """Copy a module's numbers into a Model, under the names that TensorFlow 1 gives them.

    Args:
        module: the classifier.
        labels: the name of each class.
        channels: the name of each channel.
        scaling: what the series were scaled by before the module saw them.
        source: where the numbers come from, in words.

    >>> to_model(SequenceClassifier(12)).variables.shape("rnn/basic_lstm_cell/kernel")
    (76, 256)
    """
    network = Network(
        inputs=module.inputs,
        units=module.units,
        classes=module.classes,
        layers=module.layers,
        bidirectional=module.bidirectional,
        pool=module.pool,
        forget_bias=module.forget_bias,
        activation=module.activation,
    )
    parameters = _parameters(module, network)
    variables = {name: parameters[name].detach().float().cpu().numpy().copy() for name in network.shapes}
    return Model(network, variables, labels, channels, scaling, source=source)


def to_member(module: SequenceClassifier | LSTMFCN) -> Member:
    """Copy a module's numbers into a member of an `Ensemble`; batch normalisation is folded into the convolutions.

    >>> to_member(LSTMFCN(SequenceClassifier(3, 4), filters=8)).convolutions.kernels[0].shape
    (7, 3, 8)
    """
    if isinstance(module, SequenceClassifier):
        return Member(to_model(module))
    folded = [
        (kernel.float().cpu().numpy(), bias.float().cpu().numpy()) for kernel, bias in module.convolutions.folded()
    ]
    kernels, biases = zip(*folded, strict=True)
    weights = module.weights.detach().float().cpu().numpy().copy()
    return Member(to_model(module.lstm), Convolutions(kernels, biases, weights))


def from_model(model: Model) -> SequenceClassifier:
    """Build the module that computes what a Model does, to train it further. It expects series that are already scaled.

    Raises:
        InputError: the model is none that `SequenceClassifier` can be: it has peepholes, a projection, clips, layers
            that differ, or no classes.

    >>> from_model(to_model(SequenceClassifier(3, 4, bidirectional=True)))(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 2])
    """
    network, head = model.network, model.head
    if network is None or network.classes is None or head is None:
        raise InputError(
            f"{model.source or 'model'}: found cells that SequenceClassifier has not, or no classes; expected equal "
            "layers of BasicLSTMCell and a head"
        )
    module = SequenceClassifier(
        network.inputs,
        network.units,
        network.classes,
        network.layers,
        network.bidirectional,
        network.pool,
        network.forget_bias,
        network.activation,
    )
    with torch.no_grad():
        for own, cells in zip(_layers(module), model.layers, strict=True):
            for layer, cell in zip(own, cells, strict=True):
                tensors = encode(cell, "tf1.BasicLSTMCell").tensors
                layer.kernel.copy_(torch.from_numpy(tensors["kernel"]))
                layer.bias.copy_(torch.from_numpy(tensors["bias"]))
        weights = torch.from_numpy(model.variables[head.weights].copy())
        module.weights.copy_(weights.T if head.transposed else weights)
        if head.biases is None:
            module.biases.zero_()
        else:
            module.biases.copy_(torch.from_numpy(model.variables[head.biases].copy()))
        if module.query is not None and head.query is not None:
            module.query.copy_(torch.from_numpy(model.variables[head.query].copy()))
    return module


def from_member(member: Member) -> SequenceClassifier | LSTMFCN:
    """Build the module of a member of an `Ensemble`, as `from_model`; its convolutions have yet to be settled.

    Raises:
        InputError: as `from_model`.

    >>> module = LSTMFCN(SequenceClassifier(3, 4), filters=8).eval()
    >>> x = torch.ones(1, 5, 3)
    >>> torch.allclose(from_member(to_member(module)).eval()(x), module(x), atol=1e-5)
    True
    """
    lstm, branch = from_model(member.model), member.convolutions
    if branch is None:
        return lstm
    module = LSTMFCN(lstm, branch.weights.shape[0])
    layers = [tuple(map(torch.from_numpy, pair)) for pair in zip(branch.kernels, branch.biases, strict=True)]
    module.convolutions.unfold([(kernel, bias) for kernel, bias in layers])
    with torch.no_grad():
        module.weights.copy_(torch.from_numpy(branch.weights))
    return module


def _layers(module: SequenceClassifier) -> list[list[BasicLSTM]]:
    """The layers as a Model arranges them: forward before backward within each."""
    pairs = [module.forward_layers, module.backward_layers] if module.bidirectional else [module.forward_layers]
    return [list(layer) for layer in zip(*pairs, strict=True)]


def _parameters(module: SequenceClassifier, network: Network) -> dict[str, torch.Tensor]:
    """The module's parameters under the network's names."""
    found: dict[str, torch.Tensor] = {}
    for own, cells in zip(_layers(module), network.cells, strict=True):
        for layer, cell in zip(own, cells, strict=True):
            for name, variable in cell.tensors:
                found[variable] = layer.get_parameter(name)
    assert network.head is not None  # noqa: S101
    found[network.head.weights] = module.weights
    found[str(network.head.biases)] = module.biases
    if module.query is not None:
        found[str(network.head.query)] = module.query
    return found
