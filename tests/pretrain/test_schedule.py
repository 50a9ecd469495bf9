from __future__ import annotations

import math

import pytest

from pretrain.optim.schedule import rate
from pretrain.settings import Settings


def test_by_epoch_it_is_mocos_cosine() -> None:
    settings = Settings(epochs=200, lr=0.03)
    for epoch in (0, 1, 100, 199):  # main_moco.py:407: lr *= 0.5 * (1 + cos(pi * epoch / epochs))
        expected = 0.03 * 0.5 * (1 + math.cos(math.pi * epoch / 200))
        assert rate(settings, epoch, step=7, steps=10) == pytest.approx(expected)


def test_by_step_it_is_simclrs_warm_up_and_cosine() -> None:
    settings = Settings(epochs=100, lr=0.3, lr_rule="linear", batch=512, lr_warmup=10, schedule="step")
    steps, peak = 50, 0.6
    for step in (0, 1, 499, 500, 501, 2750, 4999):  # model_util.py:57-83
        if step < 500:
            expected = peak * step / 500
        else:
            expected = peak * 0.5 * (1 + math.cos(math.pi * (step - 500) / (5000 - 500)))
        assert rate(settings, step // steps, step % steps, steps) == pytest.approx(expected, abs=1e-12)


def test_by_epoch_a_warm_up_ends_at_the_full_rate() -> None:
    settings = Settings(epochs=100, lr=0.4, lr_warmup=10)
    assert [rate(settings, e) for e in (0, 9, 10)] == pytest.approx([0.04, 0.4, 0.4])


@pytest.mark.parametrize(("rule", "expected"), [("fixed", 0.075), ("linear", 1.2), ("sqrt", 4.8)])
def test_the_batch_scales_the_rate_by_the_stated_rule(rule: str, expected: float) -> None:
    settings = Settings.__pydantic_validator__.validate_python({"lr": 0.075, "batch": 4096, "lr_rule": rule})
    assert settings.peak_lr == pytest.approx(expected)


def test_a_constant_rate_stays_where_its_warm_up_by_steps_left_it() -> None:
    settings = Settings(epochs=10, lr=0.4, lr_warmup=2, schedule="constant")
    steps = [rate(settings, step // 5, step % 5, 5) for step in range(50)]
    assert steps[:10] == pytest.approx([0.04 * step for step in range(10)])
    assert set(steps[10:]) == {0.4}
    assert {rate(Settings(epochs=3, lr=0.1, schedule="constant"), e) for e in range(3)} == {0.1}
