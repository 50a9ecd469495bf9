"""The console application `hsa-bench`, also `python -m hsa_bench`: every command under one name."""

from __future__ import annotations

import hsa_bench.cache
import hsa_bench.inspect
import hsa_bench.reproduce
import hsa_bench.run
import pretrain.__main__
import reports.__main__
from hsa_bench.core.commands.command import Command

app = Command(
    no_args_is_help=True,
    help="Transfer evaluation of self-supervised vision backbones.",
)
app.command("run")(hsa_bench.run.main)
app.command("inspect")(hsa_bench.inspect.main)
app.command("pretrain")(pretrain.__main__.main)
app.command("reproduce")(hsa_bench.reproduce.main)
app.command("cache")(hsa_bench.cache.main)
app.add_typer(reports.__main__.app, name="report")

if __name__ == "__main__":
    app(prog_name="hsa-bench")
