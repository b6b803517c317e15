import json
import subprocess
import sys

from quadgate.kernels.machine import examine


def test_doctor_names_every_subject_and_says_why_a_gpu_is_not_usable():
    findings = {finding.subject: finding for finding in examine()}
    assert {"quadgate", "processor", "compiled kernels", "threads", "torch", "GPU", "aeon"} <= set(findings)
    assert findings["GPU"].usable or "none is used: " in findings["GPU"].found


def test_json_is_one_object_on_standard_output():
    run = subprocess.run(
        [sys.executable, "-m", "quadgate", "doctor", "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout)["processor"]["usable"] is True


def test_without_compiled_kernels_the_reason_and_the_cure_are_told(monkeypatch):
    import quadgate.kernels.machine as machine

    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    monkeypatch.setattr(machine, "compiled_is_built", lambda: False)
    findings = {finding.subject: finding for finding in examine()}
    assert not findings["compiled kernels"].usable
    assert "no C++ compiler" in findings["compiled kernels"].found
    assert "reinstall" in findings["compiled kernels"].found
    assert "quadgate[train]" in findings["torch"].found
