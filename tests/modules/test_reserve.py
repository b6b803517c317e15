"""Memory that a training step gives back and the next one takes."""

import gc
import threading

import pytest
import torch

import quadgate
from quadgate.modules import reserve as module
from quadgate.modules.reserve import _Blocks, reserve

MEGABYTE = 1 << 20


@pytest.fixture
def blocks(monkeypatch):
    if not module._REUSE:
        pytest.skip("this system cannot take back memory that is only held in reserve")
    fresh = _Blocks()
    monkeypatch.setattr(module, "_blocks", fresh)
    return fresh


def floats(megabytes):
    return reserve(int(megabytes * MEGABYTE / 4), torch.zeros(1))


def test_memory_comes_back_when_the_last_tensor_on_it_is_gone(blocks):
    first = floats(4)
    address, view = first.data_ptr(), first[10:]
    del first
    second = floats(4)
    assert second.data_ptr() != address
    del view
    assert floats(3.5).data_ptr() == address


def test_never_more_is_held_than_was_in_use_at_once(blocks):
    both = floats(8), floats(4)
    del both
    assert sum(map(len, blocks.free)) == 12 * MEGABYTE
    three = floats(3)
    assert sum(map(len, blocks.free)) + len(three) * 4 <= 12 * MEGABYTE
    for size in (2, 5, 7, 11):
        held = floats(size)
        assert sum(map(len, blocks.free)) + sum(blocks.used.values()) <= blocks.most
        del held


def test_memory_that_is_not_to_be_had_is_asked_for_once_more_without_the_free_blocks(blocks, monkeypatch):
    del_me = floats(4)
    del del_me
    with pytest.raises(MemoryError, match="not enough memory: a training step keeps"):
        reserve(1 << 46, torch.zeros(1))
    assert (blocks.free, blocks.most) == ([], 4 * MEGABYTE)
    held = [floats(size) for size in (2, 3)]
    del held
    floats(6)
    assert sum(map(len, blocks.free)) + sum(blocks.used.values()) <= blocks.most


def test_a_system_without_the_advice_keeps_its_blocks(blocks):
    class Locked(bytearray):
        def madvise(self, _):
            raise OSError(22, "Invalid argument")

    block = Locked(8)
    blocks.give_back(block)
    assert blocks.free == [block]


def test_small_and_empty_reserves_are_plain_tensors(blocks):
    assert floats(0.1).numel() == int(0.1 * MEGABYTE / 4)
    assert reserve(0, torch.zeros(1)).numel() == 0
    assert not blocks.used


def test_gradients_are_the_same_bits_in_used_memory(blocks):
    x, d = torch.randn(8, 100, 12), torch.randn(8, 100, 64)
    kernel = (torch.randn(76, 256) * 0.1).requires_grad_()

    def gradient():
        outputs, _ = quadgate.lstm(x, kernel)
        return torch.autograd.grad(outputs, kernel, d)[0]

    first = gradient()
    assert blocks.free
    floats(1.5).fill_(float("nan"))
    assert torch.equal(gradient(), first)


def test_two_steps_whose_ways_back_wait_do_not_share_memory(blocks):
    kernel = (torch.randn(76, 256) * 0.1).requires_grad_()
    xs = torch.randn(2, 8, 100, 12)
    alone = [torch.autograd.grad(quadgate.lstm(x, kernel)[0].sum(), kernel)[0] for x in xs]
    losses = [quadgate.lstm(x, kernel)[0].sum() for x in xs]
    for loss, expected in zip(losses, alone, strict=True):
        assert torch.equal(torch.autograd.grad(loss, kernel)[0], expected)


def test_threads_never_get_the_same_memory(blocks):
    wrong = []

    def work(mark):
        for _ in range(200):
            mine = floats(1.5).fill_(mark)
            if not bool((mine == mark).all()):
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not wrong
    assert not blocks.used
