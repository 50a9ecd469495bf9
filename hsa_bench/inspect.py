"""The command `python -m hsa_bench.inspect PATH`: what a checkpoint is, and proof that all of it loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsa_bench.core.checkpoints.request import BackboneRequest
from hsa_bench.core.commands.command import Command, home
from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.errors import UsageError
from hsa_bench.core.input.bounds import MOST_SIDE
from hsa_bench.core.input.user_path import user_path
from hsa_bench.suite.job import SHIPPED
from hsa_bench.suite.options import is_name

if TYPE_CHECKING:
    from hsa_bench.core.results.result import Budget

app = Command()

SHOWN = 12
"""Dropped keys that are named; `--all` names every one."""


@app.command()
def main(  # noqa: PLR0913, PLR0917 (a command's option list)
    path: Annotated[str, typer.Argument(help="A file, or timm:NAME, torchvision:NAME, hf:ORG/NAME.")] = "",
    arch: Annotated[str, typer.Option(help="Architecture, if the tensors do not tell.")] = "",
    file_format: Annotated[str, typer.Option("--format", help="Checkpoint format, if not recognised.")] = "",
    branch: Annotated[str, typer.Option(help="Network of the file: key, teacher …")] = "",
    head: Annotated[
        str, typer.Option(help="Of a module of one's own that ends in a classifier: drop it, or keep.")
    ] = "",
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Leave out tensors beside the trunk whose names begin so, e.g. linear."),
    ] = None,
    card: Annotated[list[str] | None, typer.Option(help="field=value; see docs/checkpoints.md.")] = None,
    export: Annotated[
        Path | None, typer.Option(callback=home, help="Write the trunk to this .safetensors or .pkl.")
    ] = None,
    names: Annotated[str, typer.Option(help="torchvision, timm or detectron2 names for --export.")] = "",
    probe: Annotated[bool, typer.Option(help="Try plausible cards by a kNN on training images.")] = False,
    dataset: Annotated[str, typer.Option(help="Data set for --probe.")] = SHIPPED,
    data: Annotated[Path, typer.Option(callback=home, help="Folder that holds the named data sets.")] = Path(
        "data"
    ),
    image_size: Annotated[
        int, typer.Option(min=0, max=MOST_SIDE, help="Side of the crops for --probe, px.")
    ] = 0,
    every: Annotated[bool, typer.Option("--all", help="Name every dropped key.")] = False,
    formats: Annotated[bool, typer.Option("--formats", help="Name the formats and their branches.")] = False,
) -> None:
    """Say what a checkpoint is: format, branch, architecture, coverage, card, dropped keys, hashes.

    Exit code 0: it loads completely; 2: it does not, and the message says why and what to try.
    """
    if formats:
        _formats()
        return
    with exit_with_its_message():
        if not path:
            raise UsageError("name a file; or --formats")
        for option, idle, needed in (
            ("--names", names and not export, "--export"),
            ("--dataset", dataset != SHIPPED and not probe, "--probe"),
            ("--image-size", image_size and not probe, "--probe"),
        ):
            if idle:
                raise UsageError(f"{option}: it changes nothing without {needed}; give both or neither")
        request = BackboneRequest(
            label="it",
            path=path if is_name(path) else str(user_path(path)),
            arch=arch,
            file_format=file_format,
            branch=branch,
            head=head,
            drop=tuple(drop or ()),
            card=_card(card or []),
        )
        _inspect(request, every, export, names)
        if probe:
            _probe(request, dataset, data, image_size)


def _card(texts: list[str]) -> dict[str, Any]:
    """Parse `field=value` of the one file."""
    from hsa_bench.core.models.preprocess import parse_card

    cards = parse_card(texts)
    if named := [name for name in cards if name]:
        raise UsageError(f"--card {named[0]}.…: there is one file here; write the field alone")
    return cards.get("", {})


def _inspect(request: BackboneRequest, every: bool, export: Path | None, names: str) -> None:
    from hsa_bench.core.checkpoints.open import open_backbone

    backbone = open_backbone(request)
    source, coverage = backbone.source, backbone.source.coverage
    rows = {
        "file": source.path,
        "sha256": source.sha256 or "-",
        "format": source.format,
        "branch": source.branch or "-",
        "architecture": backbone.arch,
        "features": f"{backbone.dim}",
        "coverage": f"{coverage.matched} of {coverage.total} trunk tensors, 0 missing" if coverage else "-",
        "weights": f"{backbone.weights} (all tensors of the trunk)",
        **{f"card: {name}": str(value) for name, value in backbone.card.as_dict().items()},
        "taken for granted": "; ".join(source.assumed) or "-",
        "pretraining": _told(source.budget),
        "pretraining images": f"{source.images_known:,} hashes" if source.images_known else "unknown",
    }
    for name, value in rows.items():
        typer.echo(f"{name + ':':20} {value}")
    dropped = coverage.dropped if coverage else ()
    typer.echo(f"{'dropped by rule:':20} {len(dropped)} keys")
    for key in dropped if every else dropped[:SHOWN]:
        typer.echo(f"{'':20} {key}")
    if len(dropped) > SHOWN and not every:
        typer.echo(f"{'':20} … (--all)")
    if export:
        from hsa_bench.core.checkpoints.export_trunk import export_trunk

        used = export_trunk(backbone, export, names or None)  # type: ignore[arg-type]  # checked there
        typer.echo(f"{'written:':20} {export}, {used} names")


def _told(budget: Budget | None) -> str:
    if budget is None:
        return "unknown"
    seen = f"{budget.epochs} epochs, {budget.images:,} images, seed {budget.seed}"
    begun = f", started from {budget.start}" if budget.start else ""
    return f"{budget.method} on {budget.dataset}, {seen}{begun}"


def _probe(request: BackboneRequest, dataset: str, data: Path, image_size: int) -> None:
    import tempfile

    from hsa_bench.core.context import Context
    from hsa_bench.core.data.open import open_dataset
    from hsa_bench.suite.card_probe import IMAGES, probe, verdict

    with tempfile.TemporaryDirectory() as cache:
        opened = open_dataset(dataset, data)
        found = probe(request, opened, Context(data, Path(cache)), image_size)
    typer.echo(
        f"\nkNN on up to {IMAGES:,} training images of {dataset}, each by the others (k = 20, T = 0.07); "
        "p against the first row, exact McNemar, Holm:"
    )
    for one in found:
        typer.echo(f"  {one.top1:5.1f} %  p = {one.p:<8.2g} {one.name:28} {one.flags}")
    typer.echo(verdict(found))


def _formats() -> None:
    from hsa_bench.core import registry
    from hsa_bench.core.checkpoints.recognise import FORMATS, by_name

    for name, path in registry.files(FORMATS).items():
        branches = ", ".join(getattr(by_name(name), "BRANCHES", {})) or "-"
        typer.echo(f"{name:20} {registry.summary(path)}\n{'':20} branches: {branches}")


if __name__ == "__main__":
    app()
