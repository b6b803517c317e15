"""PyTorch modules whose parameters are TensorFlow 1's `kernel` and `bias`, and `rnn`, TensorFlow 1's names for them."""

from quadgate.modules import rnn
from quadgate.modules.basic_lstm import BasicLSTM, BasicLSTMCell
from quadgate.modules.classifier import SequenceClassifier
from quadgate.modules.exchange import from_model, to_model
from quadgate.modules.optimizer import TensorFlowAdam

__all__ = [
    "BasicLSTM",
    "BasicLSTMCell",
    "SequenceClassifier",
    "TensorFlowAdam",
    "from_model",
    "rnn",
    "to_model",
]
