"""Models that other people trained give the answers that are known of them, where they lie beside the project."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import quadgate
from quadgate.cell.activations import sigmoid
from quadgate.errors import FileFormatError, InputError
from quadgate.formats.pickles import load as load_pickle
from quadgate.layouts import LAYOUTS

MODELS = Path(__file__).parents[3] / "shared" / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the folder of real models is not beside this clone")


def settings_left_open(model) -> set[str]:
    return {one.setting for one in model.assumptions}


@pytest.mark.parametrize(("forget_bias", "expected"), [(1.0, 1.3377), (0.0, 2.0756)])
def test_a_character_model_predicts_its_text_with_the_right_forget_bias_only(tmp_path, forget_bias, expected):
    folder = MODELS / "04_charrnn_artclasses_tf1"
    for suffix in (".index", ".data-00000-of-00001"):  # without the graph, which settles it
        (tmp_path / f"model{suffix}").symlink_to(folder / f"model.ckpt-46499{suffix}")
    model = quadgate.load(tmp_path / "model", forget_bias=forget_bias)
    assert "forget_bias" not in settings_left_open(model)
    with (folder / "artclasses_vocab.pkl").open("rb") as stream:
        ids = {character: n for n, character in enumerate(load_pickle(stream, "vocab", {}))}
    text = (folder / "artclasses_input.txt").read_text()
    steps = len(text) // 50
    streams = np.array([ids[character] for character in text[: 50 * steps]]).reshape(50, steps)
    outputs, _ = model.run(model.variables["rnnlm/embedding"][streams[:, :-1]], output="outputs")
    logits = outputs.astype(np.float64) @ model.variables["rnnlm/softmax_w"] + model.variables["rnnlm/softmax_b"]
    logits -= logits.max(axis=2, keepdims=True)
    chances = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    of_text = np.take_along_axis(chances, streams[:, 1:, None], axis=2)
    assert np.exp(-of_text.mean()) == pytest.approx(expected, abs=5e-4)


def test_the_graph_settles_what_the_checkpoint_leaves_open():
    path = MODELS / "04_charrnn_artclasses_tf1" / "model.ckpt-46499"
    model = quadgate.load(path)
    assert settings_left_open(model) == {"pool"}
    assert {cell.forget_bias for layer in model.cells for cell in layer} == {1.0}
    with pytest.raises(InputError, match=r"forget_bias=0.0, but rnnlm/MultiRNNCell/Cell0/BasicLSTMCell .* has 1.0"):
        quadgate.load(path, forget_bias=0.0)


def test_a_checkpoint_of_version_1():
    model = quadgate.load(MODELS / "03_charrnn_poem_tf1_v1")
    assert [cell.layout for (cell,) in model.cells] == ["tf0.BasicLSTMCell"] * 2
    assert (model.inputs, model.classes, model.chains) == (128, 150, (2,))
    assert settings_left_open(model) == {"forget_bias", "activations", "pool"}
    assert any(line.startswith("rnnlm/softmax_w/Adam: the optimizer's") for line in model.left_out)


class NothingIsNamed(pickle.Unpickler):
    """Reads a pickle of plain values, here the text of Python 2, and refuses every class."""

    def find_class(self, module, name):
        raise AssertionError(f"{module}.{name}")


def test_a_poem_model_writes_valid_utf_8():
    """The text is Korean, byte by byte: what is sampled is almost only whole characters, many of them Hangul."""
    folder = MODELS / "03_charrnn_poem_tf1_v1"
    with (folder / "chars_vocab.pkl").open("rb") as stream:
        letters, _ = NothingIsNamed(stream, encoding="latin1").load()
    model = quadgate.load(folder, forget_bias=1.0)
    embedding = model.variables["rnnlm/embedding"]
    rng = np.random.default_rng(0)
    written, state, letter = [], None, letters.index(" ")
    for _ in range(600):
        logits, state = model.run(embedding[None, [letter]], state=state)
        chances = np.exp(logits[0].astype(np.float64) - logits.max())
        letter = int(rng.choice(len(letters), p=chances / chances.sum()))
        written.append(letters[letter])
    raw = "".join(written).encode("latin1")
    text = raw.decode("utf-8", errors="ignore")
    assert len(text.encode()) > 0.97 * len(raw)
    assert sum("\uac00" <= one <= "\ud7a3" for one in text) > 0.5 * len(text)


def elmo_tokens(weights, sentence: str) -> np.ndarray:
    """The character network in front of ELMo's LSTMs, of `<S>`, the words and `</S>`: `[T, 16]`."""
    words = [[257], *([byte + 1 for byte in word.encode()] for word in sentence.split()), [258]]
    characters = np.full((len(words), 50), 261)
    for row, word in zip(characters, words, strict=True):
        row[: len(word) + 2] = [259, *word, 260]
    letters = np.concatenate([np.zeros((1, 4)), weights["char_embed"]])[characters]
    found = []
    for k in range(5):
        filters = weights[f"CNN/W_cnn_{k}"][0]
        windows = np.lib.stride_tricks.sliding_window_view(letters, len(filters), axis=1)
        convolved = np.einsum("twcl,lcf->twf", windows, filters) + weights[f"CNN/b_cnn_{k}"]
        found.append(np.maximum(convolved.max(axis=1), 0))
    x = np.concatenate(found, axis=1)
    for k in range(2):
        scope = f"CNN_high_{k}"
        carry = sigmoid(x @ weights[f"{scope}/W_carry"] + weights[f"{scope}/b_carry"])
        x = (
            carry * np.maximum(x @ weights[f"{scope}/W_transform"] + weights[f"{scope}/b_transform"], 0)
            + (1 - carry) * x
        )
    return x @ weights["CNN_proj/W_proj"] + weights["CNN_proj/b_proj"]


def test_elmo_gives_its_published_activations():
    h5py = pytest.importorskip("h5py", reason="needs quadgate[hdf5]")
    folder = MODELS / "12_elmo_fixture_proj_h5"
    model = quadgate.load(folder / "lm_weights.hdf5", forget_bias=1.0, cell_clip=3.0, projection_clip=3.0)
    assert settings_left_open(model) == {"activations"}
    assert model.chains == (2, 2)
    stories = json.loads((folder / "lm_embeddings_sentences.json").read_text())
    states = [None, None]
    published = [h5py.File(folder / f"lm_embeddings_{k}.hdf5") for k in range(3)]
    for n in range(10):  # the state is carried from each sentence of a story to the next
        tokens = [elmo_tokens(model.variables, story[n]) for story in stories]
        for direction in range(2):
            outputs, states[direction] = model.chain(direction).run(tokens, state=states[direction])
            for k, file in enumerate(published):
                expected = file[str(n)][direction]
                np.testing.assert_allclose(outputs[k, 1 : 1 + len(expected)], expected, atol=1e-5)


def test_keras_weights_of_two_networks_in_one_file():
    pytest.importorskip("h5py", reason="needs quadgate[hdf5]")
    model = quadgate.load(MODELS / "20_dtln_h5_onnx_tflite" / "model.h5")
    assert model.chains == (2, 2)
    assert [cell.inputs for (cell,) in model.cells] == [257, 128, 256, 128]
    with pytest.raises(InputError, match=r"2 separate chains \(0: lstm, 1: lstm_2\)"):
        model.run(np.zeros((1, 2, 257)))
    outputs, _ = model.chain(0).run(np.random.default_rng(0).normal(size=(1, 9, 257)))
    assert outputs.shape == (1, 9, 128)


def test_cudnn_layers_of_keras_are_told_from_others_by_their_bias():
    pytest.importorskip("h5py", reason="needs quadgate[hdf5]")
    path = MODELS / "21_textgenrnn_cudnnlstm_h5" / "textgenrnn_weights.hdf5"
    model = quadgate.load(path)
    assert [(cell.layout, cell.inputs) for (cell,) in model.cells] == [
        ("keras.CuDNNLSTM", 100),
        ("keras.CuDNNLSTM", 128),
    ]
    ((parameters,), _) = model.layers
    memory = model.variables["rnn_1/rnn_1/kernel:0"][:, :128].reshape(128, 100)  # the memory of a transpose
    np.testing.assert_array_equal(parameters.w_x[0], memory.T)
    with pytest.raises(InputError, match="has Activations"):
        quadgate.load(path, activations=quadgate.cell.Activations(gate="hard_sigmoid"))


def test_keras_3_tells_everything():
    pytest.importorskip("h5py", reason="needs quadgate[hdf5]")
    model = quadgate.load(MODELS / "23_student_keras3" / "lstm.keras")
    assert model.assumptions == ()
    assert [cell.layout for (cell,) in model.cells] == ["keras.LSTM"] * 2
    assert model.head is None  # two dense layers follow
    assert model.run(np.ones((2, 20, 1)))[0].shape == (2, 20, 64)


@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated")
@pytest.mark.parametrize(
    ("file", "inputs", "units"),
    [
        ("30_noaa_hydrology_torch/aorc_seq999_model_epoch009.pt", 4, 126),
        ("30_noaa_hydrology_torch/sugar_creek_trained.pt", 11, 64),
        ("31_noaa_hydrology_torch_old/all_attributes_model_epoch020.pt", 34, 64),
    ],
)
def test_state_dicts_and_torchscript_compute_what_torch_computes(file, inputs, units):
    torch = pytest.importorskip("torch", reason="needs quadgate[train]")
    model = quadgate.load(MODELS / file)
    assert (model.inputs, model.cells[0][0].units, model.classes) == (inputs, units, 1)
    assert settings_left_open(model) == {"pool"}
    scripted = "trained.pt" in file
    if scripted:
        theirs = torch.jit.load(MODELS / file, map_location="cpu").state_dict()
    else:
        theirs = torch.load(MODELS / file, map_location="cpu", weights_only=True)
    lstm = torch.nn.LSTM(inputs, units, batch_first=True)
    lstm.load_state_dict({name.removeprefix("lstm."): a for name, a in theirs.items() if name.startswith("lstm.")})
    x = np.random.default_rng(0).normal(size=(3, 11, inputs)).astype(np.float32)
    with torch.no_grad():
        outputs, (h, c) = lstm(torch.from_numpy(x))
    ours, (((our_c, our_h),),) = model.run(x, output="outputs")
    for mine, other in ((ours, outputs), (our_h, h[0]), (our_c, c[0])):
        np.testing.assert_allclose(mine, other.numpy(), rtol=1e-5, atol=2e-6)
    weights, biases = (theirs[name].numpy() for name in (model.head.weights, model.head.biases))
    np.testing.assert_allclose(model.run(x)[0], h[0].numpy() @ weights.T + biases, rtol=1e-5, atol=1e-5)


def test_the_state_of_an_optimizer_is_no_model():
    with pytest.raises(FileFormatError, match="found no LSTM or GRU among its 18 arrays"):
        quadgate.load(MODELS / "30_noaa_hydrology_torch" / "aorc_seq999_optimizer_state_epoch009.pt")


def test_two_voice_detectors_in_one_archive_and_an_older_training():
    folder = MODELS / "32_silero_vad"
    both = quadgate.load(folder / "silero_vad.jit")
    assert [cell.name for (cell,) in both.cells] == ["_model.decoder.rnn", "_model_8k.decoder.rnn"]
    assert both.chains == (1, 1)
    older = quadgate.load(folder / "silero_vad_16k.safetensors")
    ((one,), _), ((other,),) = both.layers, older.layers
    assert one.w_x.shape == other.w_x.shape == (4, 128, 128)
    assert 0.5 < np.abs(one.w_x - other.w_x).max() < 2
    assert np.corrcoef(one.w_h.ravel(), other.w_h.ravel())[0, 1] > 0.9


def test_a_pickled_dictionary_of_arrays():
    model = quadgate.load(MODELS / "35_g2pm_bilstm_npy" / "np_ckpt.pkl")
    ((forward, backward),) = model.cells
    assert (forward.reverse, backward.reverse, model.inputs, forward.units) == (False, True, 64, 32)
    assert set(dict(forward.tensors)) == set(LAYOUTS["torch.nn.LSTM"].names()[:4])
    embedded = model.variables["embedding.weight"][[[5, 17, 300, 2]]]
    outputs, _ = model.run(embedded)
    assert outputs.shape == (1, 4, 64)


# What the package g2pM 0.1.2.5 says of the characters with several readings, and at which place they stand.
READINGS = {
    "然而，他红了20年以后，他竟退出了大家的视线。": "5 le5 16 le5 17 da4 19 de5",
    "他一边弹琴一边唱歌，地上的弹壳还在。": "2 bian1 3 dan4 6 bian1 10 di4 11 shang4 12 de5 13 dan4 15 hai2",
    "银行行长长得很高，重庆人重视音乐，快乐地还书还没到家。": "1 hang2 2 xing2 3 chang2 4 chang2 5 de5 9 chong2 "
    "12 zhong4 15 yue4 18 le4 19 di4 20 hai2 22 hai2 23 mei2",
}


def test_chinese_characters_get_the_readings_that_the_package_gives():
    """A sentence of its own length each, in one batch, read forwards and backwards between its two ends."""
    folder = MODELS / "35_g2pm_bilstm_npy"
    ids, classes = ({}, {})
    for file, found in (("char2idx", ids), ("class2idx", classes)):
        with (folder / f"{file}.pkl").open("rb") as stream:
            found.update(load_pickle(stream, file, {}))
    model = quadgate.load(folder / "np_ckpt.pkl")
    numbers = model.variables
    sentences = [["시", *sentence, "끝"] for sentence in READINGS]
    embedded = [numbers["embedding.weight"][[ids.get(c, ids["<UNK>"]) for c in sentence]] for sentence in sentences]
    outputs, _ = model.run(embedded, output="outputs")
    hidden = np.maximum(outputs @ numbers["logit_layer.0.weight"].T + numbers["logit_layer.0.bias"], 0)
    best = (hidden @ numbers["logit_layer.2.weight"].T + numbers["logit_layer.2.bias"]).argmax(axis=2)
    names = {number: name for name, number in classes.items()}
    for row, readings in zip(best, READINGS.values(), strict=True):
        places = readings.split()[::2]
        assert " ".join(f"{place} {names[int(row[int(place) + 1])]}" for place in places) == readings


def test_a_pickled_module_whose_weights_are_views_of_one_buffer():
    torch = pytest.importorskip("torch", reason="needs quadgate[train]")
    model = quadgate.load(MODELS / "38_sleep_bilstm_torch_module" / "lstm_model.pt")
    assert [len(layer) for layer in model.cells] == [2, 2]
    assert (model.inputs, model.classes) == (68, 5)
    lstm = torch.nn.LSTM(68, 128, 2, bidirectional=True, batch_first=True)
    lstm.load_state_dict(
        {name: torch.from_numpy(model.variables[f"lstm.{name}"].copy()) for name, _ in lstm.named_parameters()}
    )
    x = np.random.default_rng(0).normal(size=(2, 7, 68)).astype(np.float32)
    with torch.no_grad():
        outputs, _ = lstm(torch.from_numpy(x))
    np.testing.assert_allclose(model.run(x, output="outputs")[0], outputs.numpy(), rtol=1e-5, atol=2e-6)
