"""The reader without torch against torch itself, on what torch writes in each of its formats."""

from pathlib import Path

import numpy as np
import pytest
import torch

from quadgate.errors import FileFormatError
from quadgate.formats.torch_file import read

REAL_FILES = Path(__file__).parents[3] / "shared" / "models"


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(10, 4)
        self.register_buffer("seen", torch.tensor(7))

    def forward(self, x):
        return self.head(self.lstm(x)[0])


@pytest.fixture
def tagger():
    torch.manual_seed(1)
    return Tagger()


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor.detach().float().numpy(), err_msg=name)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_state_dict(tmp_path, tagger, zipped, kind):
    path = tmp_path / "a.pt"
    torch.save(tagger.to(kind).state_dict(), path, _use_new_zipfile_serialization=zipped)
    assert_same(read(path).tensors, tagger.state_dict())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
def test_checkpoint_around_a_state_dict(tmp_path, tagger, zipped):
    optimizer = torch.optim.Adam(tagger.parameters())
    checkpoint = {"epoch": 3, "model": tagger.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(checkpoint, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert_same(read(tmp_path / "a.pt").tensors, {f"model.{k}": v for k, v in tagger.state_dict().items()})


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before-1.6"])
@pytest.mark.filterwarnings("ignore:.*source code.*")  # the old format also stores the source of the class
def test_whole_module_without_its_class(tmp_path, tagger, zipped):
    torch.save(tagger, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = read(tmp_path / "a.pt")
    assert {name.removeprefix("."): 0 for name in found.tensors} == dict.fromkeys(
        [*dict(tagger.named_buffers()), *dict(tagger.named_parameters())], 0
    )
    for name, tensor in tagger.state_dict().items():
        np.testing.assert_array_equal(found.tensors[name], tensor.numpy(), err_msg=name)
    kind, attributes = found.modules["lstm"]
    assert kind == "torch.nn.modules.rnn.LSTM"
    assert attributes["hidden_size"] == 5
    assert attributes["bidirectional"] is True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit is deprecated, its files are not
def test_torchscript_archive(tmp_path, tagger):
    torch.jit.script(tagger).save(str(tmp_path / "a.pt"))
    found = read(tmp_path / "a.pt").tensors
    for name, tensor in tagger.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy(), err_msg=name)


def test_views_into_one_storage_and_transposes(tmp_path):
    flat = torch.arange(24.0)
    tensors = {"a": flat[2:14].view(3, 4).t(), "b": flat[::5], "empty": flat[:0], "scalar": flat[23]}
    torch.save(tensors, tmp_path / "a.pt")
    assert_same(read(tmp_path / "a.pt").tensors, tensors)


def test_tensors_are_mapped_and_cannot_be_written(tmp_path):
    torch.save({"a": torch.ones(1000)}, tmp_path / "a.pt")
    array = read(tmp_path / "a.pt").tensors["a"]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2


def test_a_compressed_archive_is_refused(tmp_path):
    import zipfile

    torch.save({"a": torch.ones(10)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(FileFormatError, match="compressed"):
        read(tmp_path / "b.pt")


@pytest.mark.skipif(not REAL_FILES.exists(), reason="the real models lie beside the project, and are not here")
@pytest.mark.parametrize(
    ("file", "shape"),
    [
        ("30_noaa_hydrology_torch/aorc_seq999_model_epoch009.pt", (504, 4)),
        ("31_noaa_hydrology_torch_old/all_attributes_model_epoch020.pt", (256, 34)),
    ],
)
def test_real_state_dicts(file, shape):
    found = read(REAL_FILES / file).tensors
    assert found["lstm.weight_ih_l0"].shape == shape
    assert_same(found, torch.load(REAL_FILES / file, weights_only=True, map_location="cpu"))


@pytest.mark.skipif(not REAL_FILES.exists(), reason="the real models lie beside the project, and are not here")
def test_real_module_pickle_that_torch_itself_refuses():
    file = REAL_FILES / "38_sleep_bilstm_torch_module/lstm_model.pt"
    with pytest.raises(Exception, match="biLSTM"):
        torch.load(file, weights_only=True)
    found = read(file)
    assert found.modules["lstm"][1]["num_layers"] == 2
    assert found.tensors["lstm.weight_hh_l1_reverse"].shape == (512, 128)
    assert found.tensors["fc.weight"].shape == (5, 256)
