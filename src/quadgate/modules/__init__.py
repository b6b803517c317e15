"""PyTorch modules whose parameters are TensorFlow 1's `kernel` and `bias`, and `rnn`, TensorFlow 1's names for them."""

from quadgate.modules import rnn
from quadgate.modules.acceleration import Acceleration, accelerate
from quadgate.modules.basic_lstm import BasicLSTM, BasicLSTMCell
from quadgate.modules.classifier import SequenceClassifier
from quadgate.modules.convolution import LSTMFCN
from quadgate.modules.exchange import from_model, to_model
from quadgate.modules.gru import GRU, GRUCell
from quadgate.modules.lstm import LSTM, LSTMCell
from quadgate.modules.optimizer import TensorFlowAdam

__all__ = [
    "GRU",
    "LSTM",
    "LSTMFCN",
    "Acceleration",
    "BasicLSTM",
    "BasicLSTMCell",
    "GRUCell",
    "LSTMCell",
    "SequenceClassifier",
    "TensorFlowAdam",
    "accelerate",
    "from_model",
    "rnn",
    "to_model",
]
