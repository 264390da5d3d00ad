"""Several devices compute what one does; precision is that of training alone."""

import json
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from thaw.tasks.training.devices import choose_strategy, infer_in_order


@pytest.fixture(scope="module")
def on_two_cpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `tests.training.replicas` writes."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.training.replicas", str(tmp_path_factory.mktemp("replicas"))],
        capture_output=True,
        check=False,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return result


@pytest.mark.slow
def test_two_devices_give_the_losses_and_the_weights_of_one(on_two_cpus: dict[str, Any]) -> None:
    one, two = on_two_cpus["frozen"]["one"], on_two_cpus["frozen"]["two"]
    assert len(one) == len(two) > 12
    np.testing.assert_allclose(two, one, rtol=1e-5)


@pytest.mark.slow
def test_statistics_of_replicas_stay_finite_also_where_one_has_no_example(on_two_cpus: dict[str, Any]) -> None:
    assert np.isfinite(on_two_cpus["train"]["two"]).all()
    # The batches whose statistics normalize are smaller, so the numbers differ.
    assert not np.allclose(on_two_cpus["train"]["one"], on_two_cpus["train"]["two"], rtol=1e-5)


@pytest.mark.slow
def test_float16_on_two_devices_is_about_that_of_one(on_two_cpus: dict[str, Any]) -> None:
    np.testing.assert_allclose(on_two_cpus["float16"]["two"], on_two_cpus["float16"]["one"], rtol=0.02)


@pytest.mark.slow
def test_a_stage_on_two_devices_goes_on_to_the_same_bytes(on_two_cpus: dict[str, Any]) -> None:
    digests = on_two_cpus["resume"]
    assert digests["resumed was stopped"] == "yes"
    assert digests["resumed"] == digests["undisturbed"]


@pytest.mark.slow
def test_two_devices_give_the_frozen_outputs_of_one_in_the_same_order(on_two_cpus: dict[str, Any]) -> None:
    one, two = on_two_cpus["features"]["one"], on_two_cpus["features"]["two"]
    assert len(one) == len(two) > 100
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


def test_the_cpu_is_one_replica() -> None:
    assert choose_strategy("cpu").num_replicas_in_sync == 1


def test_two_batches_are_inferred_at_once_and_come_out_in_their_order() -> None:
    both_are_there = threading.Barrier(2, timeout=60)

    def infer(batch: int) -> int:
        both_are_there.wait()
        return -batch

    assert list(infer_in_order(infer, range(6))) == [0, -1, -2, -3, -4, -5]
