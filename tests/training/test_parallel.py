"""Several processes give what one gives, bit for bit, and end whatever happens."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eieio.model.errors import InputError
from eieio.model.formats.image_set import ImageSet
from eieio.model.parallel.parameter_server import stale_limit

torch = pytest.importorskip("torch")

from eieio.training.networks import mlp  # noqa: E402
from eieio.training.parallel.delayed import DelayedSGD  # noqa: E402
from eieio.training.parallel.processes import run_processes  # noqa: E402
from eieio.training.recipes.parallel_training import (  # noqa: E402
    RECIPE,
    Together,
    measure_large_batches,
    measure_processes,
    measure_search,
)
from eieio.training.session import Session  # noqa: E402

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
IMAGES = ImageSet("noise", *(array for count in (96, 20) for array in (
    RNG.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count) % 10)))


def convolutions() -> Any:
    """Have windows that reach far, in layers whose rows do not come out even."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 5, (5, 3), padding=(2, 1)), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1),
        torch.nn.Conv2d(5, 7, 3, stride=2, dilation=2, padding=1), torch.nn.ReLU(),
        torch.nn.Flatten(), torch.nn.Linear(7 * 6 * 6, 9))


def together(*counts: int) -> Together:
    torch.manual_seed(0)
    x = torch.from_numpy(IMAGES.x_train)[:, None].float() / 256
    # A batch of 10 does not come out even among 3 or 4, nor 9 batches among 2.
    return Together(counts, mlp(784, 8, 10), convolutions(), x, torch.from_numpy(IMAGES.y_train),
                    10, 0.05, 0.9, x[:4])


@pytest.mark.parametrize("counts", [(2,), pytest.param((2, 3, 4), marks=pytest.mark.long)])
def test_processes_equal_one(counts: tuple[int, ...]) -> None:
    found = {arm.name: arm.value for arm in measure_processes(together(*counts), timeout=100)}
    exact = [name for name in found if "that differ from" in name]
    # Gradients, parameters, maps and regions of each count, and three servers.
    assert len(exact) == 4 * len(counts) + 3
    assert {name: found[name] for name in exact} == dict.fromkeys(exact, 0)
    for name, value in found.items():
        if "largest difference" in name:
            assert value < 100, name
        elif "rows of halos" in name:
            assert value > 0, name
    # Two numbers have one sum.
    assert found["2 processes: elements of the first gradient that Gloo's own order changes"] == 0


def test_processes_return_by_rank() -> None:
    assert run_processes(divmod, 2, connected=False, timeout=60) == [(0, 0), (0, 1)]


def test_a_failure_is_told() -> None:
    with pytest.raises(InputError, match=r"^Process 0 of 1 has ended with status 1: TypeError: "):
        run_processes(time.sleep, 1, connected=False, timeout=60)


def test_time_is_up() -> None:
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"^2 processes must have ended after 0\.1 s$"):
        run_processes(divmod, 2, timeout=0.1)
    assert time.monotonic() - begun < 30


@pytest.mark.long
def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    """A parent that is killed leaves no process, even if its processes would never end."""
    (tmp_path / "hanging.py").write_text(
        "import time\nfrom pathlib import Path\n"
        "def job(rank, count, folder):\n"
        "    Path(folder, f'begun-{rank}').touch()\n    time.sleep(10 ** 6)\n")
    parent = subprocess.Popen(
        [sys.executable, "-c", (
            "import hanging, sys\n"
            "from eieio.training.parallel.processes import run_processes\n"
            "run_processes(hanging.job, 2, sys.argv[1])"), tmp_path],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "MARK": str(tmp_path)})
    try:
        until = time.monotonic() + 100
        while len([*tmp_path.glob("begun-*")]) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert len([*tmp_path.glob("begun-*")]) == 2
    finally:
        parent.kill()
        parent.wait(10)
    until = time.monotonic() + 20
    while _marked(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _marked(tmp_path)


def _marked(mark: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARK={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_old_gradients(delay: int) -> None:
    """Descent on a parabola is that of its recurrence, and so is one that went on from a state."""
    def made(value: float) -> tuple[Any, DelayedSGD]:
        x = torch.tensor([value], dtype=torch.float64, requires_grad=True)
        return x, DelayedSGD([x], 0.9 * stale_limit(delay), delay)

    x, optimizer = made(1.0)
    expected = [1.0] * (delay + 1)
    for step in range(12):
        if step == 5:
            state, value = optimizer.state_dict(), x.item()
            x, optimizer = made(value)
            optimizer.load_state_dict(state)
        optimizer.zero_grad()
        (x ** 2 / 2).sum().backward()
        optimizer.step()
        if step >= delay:
            expected.append(expected[-1] - 0.9 * stale_limit(delay) * expected[-1 - delay])
        assert x.item() == pytest.approx(expected[-1], rel=1e-6)


def test_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates of the steps are those of the rules: alike, in proportion, and climbing to it."""
    seen: dict[str, list[float]] = {}

    def train(stage: str, make: Any, **options: Any) -> Any:
        steps = 96 // options["batch"] * options["epochs"]
        seen[stage] = [options["schedule"](options["rate"], step, steps) for step in range(steps)]
        return mlp(784, 4, 10)

    session = Session(0, tmp_path, IMAGES, {
        **RECIPE.settings, "batch": 4, "workers": (4,), "epochs": 6, "warm": 1.0, "rate": 0.1,
        "servers": (2,)})
    monkeypatch.setattr(session, "train", train)
    names = [arm.name for arm in measure_large_batches(session)]
    assert len(names) == len({*names})
    small, same, large, warm = (seen[name] for name in (
        "batch-1", "same-rate-4", "rate-in-proportion-4", "rate-in-proportion-warmed-up-4"))
    assert small[0] == same[0] == 0.1
    assert large == pytest.approx([4 * rate for rate in same])
    assert warm[:7] == pytest.approx([0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4])
    assert warm[7:] == large[7:]
    assert [large[step] for step in (23, 24, 31, 32)] == pytest.approx([0.4, 0.04, 0.04, 0.004])


@pytest.mark.long
def test_search_loses_no_trial(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    session = Session(0, tmp_path, IMAGES, {
        **RECIPE.settings, "search_workers": 2, "search_images": 40, "search_hidden": 4,
        "search_rates": (0.01, 0.1), "search_momenta": (0.0, 0.9), "search_batches": (10,)})
    found = {arm.name.partition(": ")[2]: arm.value for arm in measure_search(session)}
    assert found["points that were evaluated"] == 4
    assert found["points that were evaluated twice"] == 0
    assert found["trials that were lost, and tried again"] == 1
    assert found["processes that were killed"] == 1
    assert 0 <= found["best error"] <= found["worst error"] <= 100
