"""Why no GPU is used, each reason in one line that says what to do."""

from dataclasses import replace

import pytest

from quadgate.kernels.gpu.findings import Facts, kernels, look, why_not

WHOLE = Facts(
    torch="2.13.0+cu130",
    cuda="13.0",
    device=True,
    driver="580.82",
    name="NVIDIA H200",
    capability=(9, 0),
    free=130 << 30,
    total=139 << 30,
)
NONE = replace(WHOLE, name="", capability=(0, 0), free=0, total=0)
REASONS = {
    "a build for CPUs": (NONE, {"cuda": None}, ["built without CUDA", "https://pytorch.org"]),
    "no device": (NONE, {"device": False, "driver": None}, ["no NVIDIA device"]),
    "no driver": (NONE, {"driver": None}, ["its driver is not loaded", "install it"]),
    "hidden": (NONE, {"visible": ""}, ["CUDA_VISIBLE_DEVICES='' hides every GPU", "unset"]),
    "old driver": (
        NONE,
        {"error": "The NVIDIA driver on your system is too old (found version 11040)"},
        ["CUDA 13.0 finds none with the driver 580.82", "too old", "install a newer one"],
    ),
    "no memory to start": (NONE, {"error": "CUDA error: out of memory"}, ["its memory is full", "nvidia-smi"]),
    "no memory left": (WHOLE, {"free": 12 << 20}, ["12 MiB free of 139 GiB", "nvidia-smi"]),
    "an old GPU": (
        WHOLE,
        {"capability": (7, 5), "name": "Tesla T4"},
        ["Tesla T4: its compute capability is 7.5", "need 8.0"],
    ),
}


@pytest.mark.parametrize(("facts", "changes", "said"), REASONS.values(), ids=REASONS.keys())
def test_each_reason_is_one_line(facts, changes, said):
    found = why_not(replace(facts, **changes))
    assert "\n" not in found
    for words in said:
        assert words in found


def test_a_gpu_that_can_be_used_needs_no_reason():
    assert why_not(WHOLE) is None
    assert why_not(replace(WHOLE, visible="0")) is None


def test_this_machine_is_looked_at():
    facts = look()
    assert facts.torch
    assert why_not(facts) is None or facts.free == 0 or facts.capability < (8, 0)


def test_the_reach_of_each_kernel_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr("quadgate.kernels.gpu.cuda.why_not", lambda *_: "cuda-core is not installed")
    monkeypatch.setattr("quadgate.kernels.gpu.implementations._shared_memory", lambda device: 232448)
    found = kernels("a GPU of the tests")
    assert "CUDA: cuda-core is not installed" in found
    assert "Triton up to 64 units in float32 and 128 in bfloat16" in found
    assert "graph any number of units" in found
    assert "cuDNN runs until quadgate tune has measured" in found
