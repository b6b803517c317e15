"""`accelerate` on the architectures that people have: outputs, gradients and ten optimiser steps as without it."""

import copy
import os
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.export import Dim, export
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import quadgate
from quadgate.modules import GRU, LSTM, LSTMCell


class CRNN(nn.Module):
    """Text in pictures: convolutions, then a bidirectional stack over the columns."""

    def __init__(self):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d((4, 2))
        )
        self.lstm = nn.LSTM(12, 9, num_layers=2, bidirectional=True, dropout=0.3)
        self.head = nn.Linear(18, 5)

    def forward(self, pictures):
        columns = self.convolutions(pictures).flatten(1, 2).permute(2, 0, 1)
        return self.head(self.lstm(columns)[0])

    def loss(self, batch):
        return cross_entropy(self(batch["pictures"]).flatten(0, 1), batch["letters"].flatten())


class SpeechEncoder(nn.Module):
    """Frames of unequal number, packed; a projection between wide layers, then a narrow one."""

    def __init__(self):
        super().__init__()
        self.below = nn.LSTM(8, 10, batch_first=True, bidirectional=True, proj_size=6)
        self.norm = nn.LayerNorm(12)
        self.above = nn.LSTM(12, 7, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(14, 3)

    def forward(self, frames, lengths):
        packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
        wide, _ = pad_packed_sequence(self.below(packed)[0], batch_first=True)
        packed = pack_padded_sequence(self.norm(wide), lengths, batch_first=True, enforce_sorted=False)
        output, (h, _) = self.above(packed)
        pooled = pad_packed_sequence(output, batch_first=True)[0].sum(1)
        return self.head(pooled + torch.cat([h[-2], h[-1]], 1))

    def loss(self, batch):
        return cross_entropy(self(batch["frames"], batch["lengths"]), batch["words"])


class AttentionDecoder(nn.Module):
    """An encoder, and a cell that is stepped from Python and looks back at every encoded step."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(8, 10, batch_first=True)
        self.cell = nn.LSTMCell(5 + 10, 10)
        self.head = nn.Linear(10, 5)

    def forward(self, frames):
        memory, (h, c) = self.encoder(frames)
        h, c = h[0], c[0]
        token, said = torch.zeros(len(frames), 5), []
        for _ in range(6):
            attention = torch.softmax((memory @ h[:, :, None])[..., 0], 1)
            h, c = self.cell(torch.cat([token, (attention[..., None] * memory).sum(1)], 1), (h, c))
            token = torch.softmax(self.head(h), 1)
            said.append(token)
        return torch.stack(said, 1)

    def loss(self, batch):
        return mse_loss(self(batch["frames"]), batch["tokens"])


class Policy(nn.Module):
    """Reinforcement learning: the state is carried over chunks, and zero where an episode began."""

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(8, 12)
        self.core = nn.LSTM(12, 9)
        self.action, self.value = nn.Linear(9, 4), nn.Linear(9, 1)

    def forward(self, frames, starts):
        features = torch.relu(self.body(frames))
        h, c = torch.zeros(2, 1, frames.shape[1], 9)
        outputs = []
        for x, start in zip(features, starts, strict=True):
            keep = (~start).to(x.dtype)[None, :, None]
            output, (h, c) = self.core(x[None], (h * keep, c * keep))
            outputs.append(output)
        outputs = torch.cat(outputs)
        return self.action(outputs), self.value(outputs)

    def loss(self, batch):
        action, value = self(batch["frames"].transpose(0, 1), batch["starts"])
        return cross_entropy(action.flatten(0, 1), batch["actions"].flatten()) + (value**2).mean()


ARCHITECTURES = [CRNN, SpeechEncoder, AttentionDecoder, Policy]
REPLACED = {
    CRNN: ["lstm"],
    SpeechEncoder: ["below", "above"],
    AttentionDecoder: ["encoder", "cell"],
    Policy: ["core"],
}


def batches(count=10):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        yield {
            "pictures": torch.randn(4, 1, 8, 14, generator=generator),
            "letters": torch.randint(5, (7, 4), generator=generator),
            "frames": torch.randn(4, 9, 8, generator=generator),
            "lengths": torch.tensor([9, 3, 1, 7]),
            "words": torch.randint(3, (4,), generator=generator),
            "tokens": torch.rand(4, 6, 5, generator=generator),
            "starts": torch.rand(9, 4, generator=generator) < 0.3,
            "actions": torch.randint(4, (9, 4), generator=generator),
        }


def both(architecture):
    """The same model twice, the second accelerated."""
    torch.manual_seed(0)
    original = architecture()
    accelerated = copy.deepcopy(original)
    report = quadgate.accelerate(accelerated)
    assert report.replaced == REPLACED[architecture]
    assert not report.kept
    return original, accelerated


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_outputs_gradients_and_ten_steps(architecture):
    original, accelerated = both(architecture)
    losses = []
    for model in (original, accelerated):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        torch.manual_seed(2)  # dropout between layers
        losses.append([])
        for batch in batches():
            optimizer.zero_grad()
            loss = model.loss(batch)
            loss.backward()
            losses[-1].append(loss.item())
            optimizer.step()
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)
    for (name, one), other in zip(original.named_parameters(), accelerated.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-3, atol=1e-5, msg=name)
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-5, msg=name)
    original.eval()
    accelerated.eval()
    with torch.no_grad():
        for batch in batches(1):
            torch.testing.assert_close(accelerated.loss(batch), original.loss(batch), rtol=1e-5, atol=1e-6)


def test_nothing_but_the_class_changes():
    model = CRNN()
    optimizer = torch.optim.Adam(model.parameters())
    seen = []
    model.lstm.register_forward_hook(lambda *_: seen.append("called"))
    before = list(model.named_parameters())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    quadgate.accelerate(model)
    assert type(model.lstm) is LSTM
    after = list(model.named_parameters())
    assert [name for name, _ in before] == [name for name, _ in after]
    assert all(one is other for (_, one), (_, other) in zip(before, after, strict=True))
    weight = model.lstm.weight_hh_l0
    model.loss(next(batches())).backward()
    optimizer.step()
    assert seen == ["called"]
    assert model.lstm.weight_hh_l0 is weight
    assert not torch.equal(weight, state["lstm.weight_hh_l0"])
    model.load_state_dict(state)
    assert torch.equal(weight, state["lstm.weight_hh_l0"])


@pytest.mark.parametrize("remake", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)), lambda one: one])
def test_undo(remake):
    model = nn.ModuleList([nn.LSTM(3, 4), LSTM(3, 4), nn.LSTMCell(3, 4), nn.GRU(3, 4)])
    quadgate.accelerate(model)
    assert [type(one) for one in model] == [LSTM, LSTM, LSTMCell, GRU]
    model = remake(model)
    quadgate.accelerate(model, undo=True)
    assert [type(one) for one in model] == [nn.LSTM, LSTM, nn.LSTMCell, nn.GRU]
    assert model[0](torch.zeros(2, 1, 3))[0].shape == (2, 1, 4)
    assert not any("quadgate" in name for name in model[0].__dict__)


class Own(nn.LSTM):
    pass


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_what_is_left_alone_and_why():
    model = nn.ModuleDict(
        {
            "own": Own(3, 4),
            "normed": nn.LSTM(3, 4),
            "meta": nn.LSTM(3, 4, device="meta"),
            "plain": nn.LSTM(3, 4),
            "script": torch.jit.script(nn.LSTM(3, 4)),
        }
    )
    parametrizations.weight_norm(model["normed"], "weight_hh_l0")
    report = quadgate.accelerate(model)
    assert report.replaced == ["plain"]
    assert report.kept == {
        "own": "Own is a subclass of LSTM, whose forward may differ",
        "normed": "its weights are parametrized",
        "meta": "its weights are on meta, the kernels run on the processor",
        "script": "TorchScript: replace it before scripting",
    }
    assert "kept own: Own is a subclass" in str(report)


@pytest.mark.parametrize("training", [False, True])
def test_an_example_is_measured_and_disturbs_nothing(training, capsys):
    model = CRNN().train(training)
    batch = next(batches())
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    state = torch.get_rng_state()
    report = quadgate.accelerate(model, example=batch["pictures"])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert report.training is training
    assert report.before > 0
    assert report.after > 0
    assert report.difference < 1e-5
    assert set(report.replaced) | set(report.kept) == {"lstm"}
    # Torch's class stays where the report says that it is faster.
    assert type(model.lstm) is (LSTM if report.replaced else nn.LSTM)
    assert str(report) in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_examples_of_several_arguments():
    batch = next(batches())
    for example in ((batch["frames"], batch["lengths"]), {"frames": batch["frames"], "lengths": batch["lengths"]}):
        model = SpeechEncoder().eval()
        report = quadgate.accelerate(model, example)
        assert report.difference < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [CRNN, AttentionDecoder])
def test_compiles_to_one_graph(architecture):
    original, accelerated = both(architecture)
    original.eval()
    accelerated.eval()
    compiled = torch.compile(accelerated, fullgraph=True, backend="aot_eager")
    x = next(batches())["pictures" if architecture is CRNN else "frames"]
    found, expected = compiled(x), original(x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    found.sum().backward()
    expected.sum().backward()
    for (name, one), other in zip(original.named_parameters(), accelerated.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.slow
def test_exports_with_any_number_of_cases_and_steps():
    original, accelerated = both(CRNN)
    N, half = Dim("N", min=2, max=64), Dim("half", min=2, max=200)
    program = export(accelerated.eval(), (torch.randn(3, 1, 8, 14),), dynamic_shapes={"pictures": {0: N, 3: 2 * half}})
    for pictures in (torch.randn(2, 1, 8, 40), torch.randn(7, 1, 8, 6)):
        torch.testing.assert_close(program.module()(pictures), original.eval()(pictures), rtol=1e-5, atol=1e-6)


def test_under_autocast():
    original, accelerated = both(CRNN)
    pictures = next(batches())["pictures"]
    expected = original.eval()(pictures)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = accelerated.eval()(pictures)
        if torch.cpu._is_avx512_supported():  # PyTorch's own LSTM raises otherwise
            expected = original(pictures)
            assert expected.dtype == torch.bfloat16
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected.float(), rtol=0, atol=3e-2)


TRAIN_IN_TWO = """
import sys, torch, quadgate
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.manual_seed(0)
layer = torch.nn.LSTM(3, 5, num_layers=2)
x, d = torch.randn(7, 4, 3), torch.randn(7, 4, 5)
quadgate.accelerate(layer)
model, half = layer, slice(None)
if rank >= 0:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model, half = DistributedDataParallel(layer), slice(2 * rank, 2 * rank + 2)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    (model(x[:, half])[0] * d[:, half]).sum(dim=(0, 2)).mean().backward()
    optimizer.step()
torch.save(layer.state_dict(), f"{folder}/{rank}.pt")
if rank >= 0:
    distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_train_an_accelerated_model_as_one_does(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen([sys.executable, "-c", TRAIN_IN_TWO, str(rank), str(tmp_path)], env=environment)
        for rank in (-1, 0, 1)
    ]
    assert [run.wait(timeout=120) for run in runs] == [0, 0, 0]
    alone, *both = (torch.load(tmp_path / f"{rank}.pt") for rank in (-1, 0, 1))
    for trained in both:
        for name, value in alone.items():
            torch.testing.assert_close(trained[name], value, rtol=1e-5, atol=1e-6)
