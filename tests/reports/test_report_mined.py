"""One sentence of what decided of mined neighbours, from what pretrainings state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hsa_bench.core.results.mined import Mined
from hsa_bench.core.results.result import Budget, Source, TaskResult
from reports.run_folder.collected import Collected
from reports.run_folder.grid import lay_out
from reports.sections.mined import mined_sentences
from tests.reports.report_folder import result

WORTH = Mined(counted_from=9, counted=24.2, last=27.0, pixels=21.48)


def backbone(label: str, mined: Mined | None, seed: int = 0, epochs: int = 16) -> list[TaskResult]:
    """Two evaluations of one pretraining."""
    spent = Budget(
        method="hsa", dataset="d", epochs=epochs, images=1, views=5, seconds=1, seed=seed, mined=mined
    )
    facts: dict[str, Any] = {
        "source": Source(path=f"{label}.pth", format="hsa_bench", budget=spent),
        "weights": f"{seed + 1:064x}",
    }
    return [result(label, task, **facts) for task in ("linear", "knn")]


def sentences(*results: TaskResult, figure: str = "") -> tuple[str, ...]:
    grid = lay_out(Collected(Path(), None, results, (), ()))
    return mined_sentences(grid, {"random"}, Path(figure) if figure else None)


def test_one_sentence_says_what_neighbours_were_worth_when_they_counted_and_at_the_end() -> None:
    (text,) = sentences(*backbone("hsa", WORTH), figure="figures/a b.png")
    assert text == (
        "**hsa**: mined neighbours counted from epoch 9 of 16 on, when 24.2 % of them were of the "
        "picture's class, against 21.5 % among bare pixels; 27.0 % at the end ([curves](figures/a%20b.png))."
    )


def test_nothing_is_said_where_nothing_is_known() -> None:
    control = [one.model_copy(update={"label": "random"}) for one in backbone("x", WORTH)]
    assert sentences(*backbone("older", None), *control, result("other", "knn")) == ()


def test_several_pretrainings_are_one_sentence_of_means() -> None:
    second = Mined(counted_from=10, counted=26.2, last=29.0, pixels=21.48)
    (text,) = sentences(*backbone("hsa", WORTH), *backbone("hsa", second, seed=1, epochs=18))
    assert "counted from an epoch between 9 and 10 of 16 to 18 on, when 25.2 %" in text
    assert text.endswith("28.0 % at the end (mean of 2 pretrainings).")


def test_neighbours_that_never_counted_are_said_to_have_not() -> None:
    never = Mined(counted_from=0, counted=20.0, last=20.0, pixels=21.0)
    (text,) = sentences(*backbone("hsa", never))
    assert "never counted in its 16 epochs; at the end 20.0 %" in text and "21.0 % among bare pixels" in text
    (text,) = sentences(*backbone("hsa", WORTH), *backbone("hsa", never, seed=1))
    assert "on in 1 of 2 pretrainings, when 24.2 %" in text and "23.5 % at the end" in text


def test_one_epoch_is_one() -> None:
    never = Mined(counted_from=0, counted=20.0, last=20.0, pixels=21.0)
    (text,) = sentences(*backbone("hsa", never, epochs=1))
    assert "never counted in its 1 epoch; at the end" in text


def test_a_strangers_name_stays_a_text() -> None:
    (text,) = sentences(*backbone("[a](b)|<i>", WORTH))
    assert "<i>" not in text and "[a](b)" not in text
