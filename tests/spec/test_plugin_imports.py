"""Importing a plugin, or building its part, changes nothing that other runs of the process would notice."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from harness import registry
from harness.errors import InputError
from harness.process_state import PRECISIONS, SHARED, kept_state
from harness.spec.plugins import PluginMissing, import_plugin

CHANGES = {
    "torch's default dtype": "import torch; torch.set_default_dtype(torch.float64)",
    "torch's default device": "import torch; torch.set_default_device('meta')",
    "torch's gradient mode": "import torch; torch.set_grad_enabled(False)",
    "torch's number of threads": "import torch; torch.set_num_threads(torch.get_num_threads() + 1)",
    "torch's deterministic algorithms": "import torch; torch.use_deterministic_algorithms(True)",
    "torch's precision of products": "import torch; torch.set_float32_matmul_precision('medium')",
    "torch's precisions by backend": "import torch; torch.backends.mkldnn.conv.fp32_precision = 'bf16'",
    "torch.backends.cudnn.benchmark": "import torch; torch.backends.cudnn.benchmark = True",
    "torch.backends.cudnn.enabled": "import torch; torch.backends.cudnn.enabled = False",
    "NumPy's handling of floating-point errors": "import numpy; numpy.seterr(all='raise')",
    "the working folder": "import os; os.chdir('/')",
}


@pytest.fixture
def write_plugin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = []

    def write_plugin(name, text, place=tmp_path):
        place.mkdir(exist_ok=True)
        (place / f"{name}.py").write_text(text)
        written.append(name)

    yield write_plugin
    for name in written:
        sys.modules.pop(name, None)


def state():
    return {name: shared.read(sys.modules[shared.module]) for name, shared in SHARED.items()} | {"folder": Path.cwd()}


def test_every_shared_thing_is_tried():
    assert set(CHANGES) == {*SHARED, "the working folder"}


OLDER = ["cuda.matmul.allow_tf32 = True", "cudnn.allow_tf32 = False"]
OTHERS = [("torch's precision of products", f"import torch; torch.backends.{change}") for change in OLDER]


@pytest.mark.parametrize(("what", "code"), [*CHANGES.items(), *OTHERS], ids=str)
def test_what_a_plugin_changes_of_the_process_is_put_back_and_said(what, code, write_plugin, capsys):
    before = state()
    write_plugin("changing_plugin", code)
    import_plugin("changing_plugin")
    assert state() == before
    told = capsys.readouterr().err
    assert f"plugin changing_plugin set {what} to " in told


@pytest.mark.parametrize("backend", PRECISIONS)
def test_each_backend_has_its_precision_again(backend, write_plugin):
    before = state()
    for precision in ("bf16",) if "mkldnn" in backend else ("tf32", "ieee"):
        write_plugin("changing_plugin", f"import torch; torch.{backend} = '{precision}'")
        import_plugin("changing_plugin")
        assert state() == before
        sys.modules.pop("changing_plugin")


def test_of_a_module_that_the_plugin_imports_first_the_initial_values_are_known(write_plugin):
    """In a process without torch: what SHARED holds as initial values is what torch begins with."""
    code = (
        "from harness.spec.plugins import import_plugin; from harness.process_state import SHARED; import sys\n"
        "assert 'torch' not in sys.modules\n"
        "import_plugin('plain_plugin'); import torch\n"
        "print([name for name, item in SHARED.items() if item.module == 'torch' and item.initial is not None"
        " and item.read(torch) != item.initial])\n"
    )
    write_plugin("plain_plugin", "import torch\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert "set torch" not in done.stderr


def test_building_a_part_changes_nothing_either(monkeypatch, capsys):
    monkeypatch.setattr(registry, "_PARTS", dict(registry._PARTS))

    @registry.part("loss")
    def doubling():
        """A loss that wants doubles."""
        torch.set_default_dtype(torch.float64)
        print("doubled")
        return torch.zeros(1).dtype

    assert registry.build("loss", registry.choose("loss", "doubling", {})) is torch.float64
    assert torch.get_default_dtype() is torch.float32
    told = capsys.readouterr()
    assert told.out == ""
    assert "loss 'doubling' (" in told.err


def test_filters_of_warnings_stay(write_plugin):
    before = list(warnings.filters)
    write_plugin("silencing_plugin", "import warnings; warnings.simplefilter('ignore')")
    import_plugin("silencing_plugin")
    assert list(warnings.filters) == before


def test_what_fails_is_put_back_too():
    with pytest.raises(ZeroDivisionError), kept_state("it"):
        np.seterr(all="ignore")
        torch.set_default_dtype(torch.float64)
        raise ZeroDivisionError
    assert torch.get_default_dtype() is torch.float32
    assert np.geterr()["divide"] != "ignore"


def test_a_plugin_hidden_by_a_module_of_its_name_is_refused(write_plugin, tmp_path, monkeypatch):
    """Two plugins of one name in one process, or one that is called like a module of Python."""
    write_plugin("twice", "x = 1", tmp_path / "one")
    write_plugin("twice", "x = 2", tmp_path / "two")
    (tmp_path / "json.py").write_text("")
    with pytest.raises(InputError, match=r"the plugin 'json' .* is hidden by another module of this name"):
        import_plugin("json")
    monkeypatch.chdir(tmp_path / "one")
    import_plugin("twice")
    import_plugin("twice")
    monkeypatch.chdir(tmp_path / "two")
    with pytest.raises(InputError, match=r"two/twice.py\) is hidden by another module of this name, .*one/twice.py"):
        import_plugin("twice")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "one"))
    import_plugin("twice")  # chosen by the user
    assert sys.modules["twice"].x == 1


def test_a_missing_plugin_is_told_from_one_that_misses_something(write_plugin):
    write_plugin("needy_plugin", "import a_module_that_nobody_has")
    with pytest.raises(PluginMissing):
        import_plugin("absent_plugin")
    with pytest.raises(InputError, match="No module named 'a_module_that_nobody_has'") as caught:
        import_plugin("needy_plugin")
    assert not isinstance(caught.value, PluginMissing)
