"""Described numbers: a metric with its unit, its title, its direction, and where it was taken."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from hsa_bench.core.results.record import Record
from hsa_bench.core.results.sound import NUMBER

Better = Literal["higher", "lower", ""]
"""Which values are better; empty for a diagnostic, which ranks nothing."""

Recompute = Literal[
    "",
    "top1",
    "top5",
    "mean_per_class",
    "bbox/AP",
    "bbox/AP50",
    "bbox/AP75",
    "segm/AP",
    "segm/AP50",
    "segm/AP75",
]
"""How a metric follows from the per-example outcomes beside the result."""


Value = Annotated[float, Field(gt=-NUMBER, lt=NUMBER)]
"""A finite number whose square is one, too."""


class Described(Record):
    """A number, or several, in a reader's words; on file without the fields that say nothing."""

    name: str = Field(min_length=1)
    """Short and stable: what other records and published tables call it."""
    title: str = ""
    """A reader's words for it, which stand at axes and over tables; by default the name."""
    unit: str = ""
    """Of the value: "%", "nats", "s" ..., or empty for a pure number."""
    meaning: str = ""
    """What it is, to go on after "is", e.g. "the share of test images whose first guess is right"."""

    @property
    def words(self) -> str:
        """The title, or the name where there is none."""
        return self.title or self.name

    @property
    def axis(self) -> str:
        """Title and unit, as they stand at an axis."""
        return f"{self.words}, {self.unit}" if self.unit else self.words

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        return {
            name: value
            for name, value in write(self).items()
            if fields[name].is_required() or getattr(self, name) != fields[name].default
        }


class Metric(Described):
    """One number of a run.

    Metrics of one family measure the same in several places: at layers, from numbers of images, by another
    classifier. Their names differ, their titles do not say the place.
    """

    value: Value
    unit: str
    """As above; to be given, if only as empty."""
    better: Better
    """Whether higher or lower values are better; empty for a diagnostic, which ranks nothing."""
    family: str = ""
    """Name of the family, where it has one."""
    by: str = ""
    """Classifier that it is of, where that is not the main metric's: "kNN"."""
    layer: str = ""
    """Layer whose features it is of: "stem", "stage3", "block11"."""
    shots: int = Field(default=0, ge=0)
    """Training images per class that it was learnt from; 0 where that is not the question."""
    category: str = ""
    """Class of the data that it is of; empty: of all."""
    draws: tuple[Value, ...] = ()
    """Its value at each draw of training images, the same draws for every backbone."""
    recompute: Recompute = ""
    """How it follows from the outcomes of single images; empty: it does not, and is not resampled."""
    plane: Literal["", "x", "y"] = ""
    """Axis of a figure that sets two metrics of a task against each other."""

    @property
    def lower(self) -> bool:
        """Whether smaller values are better."""
        return self.better == "lower"

    @property
    def merit(self) -> float:
        """The value with its sign changed where lower is better."""
        return -self.value if self.lower else self.value

    def drawn(self, values: tuple[float, ...]) -> Self:
        """Return the same with its value at each draw."""
        return self.model_copy(update={"draws": values})

    def at_layer(self, layer: str) -> Self:
        """Return the same as of one layer: `stage3/top1`."""
        place = {"layer": layer, "name": f"{layer}/{self.name}", "family": self.family or self.name}
        return self.model_copy(update={**place, "meaning": "", "recompute": ""})

    def from_shots(self, k: int) -> Self:
        """Return the same as of k training images per class: `svm_k4`."""
        place = {"shots": k, "name": f"{self.name}_k{k}", "family": self.family or self.name}
        return self.model_copy(update={**place, "meaning": "", "recompute": ""})

    def voted(self) -> Self:
        """Return the same as of the nearest neighbours' vote, `knn_top1`, which no outcomes are kept of."""
        family = self.family or self.name
        head = {"by": "kNN", "name": f"knn_{self.name}", "family": family, "title": f"kNN {self.words}"}
        return self.model_copy(update={**head, "meaning": "", "recompute": ""})


def percent(name: str, value: float, title: str = "", meaning: str = "") -> Metric:
    """Return a share of a hundred of which more is better."""
    return Metric(name=name, value=value, title=title, unit="%", meaning=meaning, better="higher")


def top1(value: float) -> Metric:
    """Return the share of test images whose first guess is right, percent."""
    meaning = "the share of test images whose first guess is right"
    return percent("top1", value, "top-1", meaning).model_copy(update={"recompute": "top1"})


def top5(value: float) -> Metric:
    """Return the share of test images whose class is among the first five guesses, percent."""
    meaning = "the share of test images whose class is among the first five guesses"
    return percent("top5", value, "top-5", meaning).model_copy(update={"recompute": "top5"})


def mean_per_class(value: float) -> Metric:
    """Return the mean of the classes' accuracies, percent."""
    meaning = "the share of each class's test images that are right, averaged over classes"
    shown = percent("mean_per_class", value, "mean per class", meaning)
    return shown.model_copy(update={"recompute": "mean_per_class"})


def precision(name: str, value: float) -> Metric:
    """Return an average precision by pycocotools' name with the kind before it: `bbox/AP50`, percent."""
    kind, _, statistic = name.partition("/")
    known = {"AP": ".50 to .95", "AP50": ".50", "AP75": ".75"}
    what = {"bbox": "box", "segm": "mask"}[kind]
    meaning = f"the average precision over {what} overlaps {known[statistic]}" if statistic in known else ""
    shown = percent(name, value, f"{what} {statistic}", meaning)
    return shown.model_copy(update={"recompute": name if statistic in known else ""})


def number(name: str, value: float, title: str = "", unit: str = "", better: Better = "") -> Metric:
    """Return a number that ranks nothing unless `better` says how."""
    return Metric(name=name, value=value, title=title, unit=unit, better=better)


def values(metrics: tuple[Metric, ...]) -> dict[str, float]:
    """Return the bare numbers by name.

    Raises:
        ValueError: Two metrics have one name.
    """
    found: dict[str, float] = {}
    for metric in metrics:
        if metric.name in found:
            raise ValueError(f"two metrics are called {metric.name}; a name stands for one number of a run")
        found[metric.name] = metric.value
    return found
