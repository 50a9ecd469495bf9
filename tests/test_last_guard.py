"""However a command ends, it ends in words: no traceback, in any locale, on any standard output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from hsa_bench.core.commands.ending import exit_with_its_message
from hsa_bench.core.errors import UsageError
from hsa_bench.run import app as run
from tests.support.command import ROOT, call, environment, line

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def left(error: BaseException, out: Path | None = None) -> int:
    """The exit code with which the guard ends an error."""
    with pytest.raises(SystemExit) as ended, exit_with_its_message(out=out):
        raise error
    return ended.value.code


def test_an_unforeseen_error_is_a_sentence_and_a_file_in_the_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert left(KeyError("x\nsecond line"), tmp_path) == 1
    (kept,) = (tmp_path / "logs").iterdir()
    told = capsys.readouterr().err
    assert told.startswith("error: unexpected KeyError: ") and told.count("\n") == 1
    assert str(kept) in told and "please report it" in told
    text = kept.read_text(encoding="utf-8")
    assert "Traceback" in text and "in left" in text and "hsa_bench" in text.splitlines()[0]


@pytest.mark.parametrize("out", [None, "absent", "file"])
def test_where_there_are_no_logs_the_file_is_a_temporary_one(
    out: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "logs").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    assert left(RuntimeError("odd \udcff"), tmp_path / out if out else None) == 1
    (kept,) = (tmp_path / "temporary").iterdir()
    assert str(kept) in capsys.readouterr().err
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert left(RuntimeError("odd")) == 1
    assert "please report it with the command that you gave" in capsys.readouterr().err


def test_the_users_errors_keep_their_code_and_what_is_no_error_passes() -> None:
    assert left(UsageError("x")) == 2
    for passes in (KeyboardInterrupt(), BrokenPipeError()):
        with pytest.raises(type(passes)), exit_with_its_message():
            raise passes
    with exit_with_its_message():
        pass


def test_a_fault_within_a_command_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LookupError("nobody foresaw this")

    monkeypatch.setattr("hsa_bench.run.make_job", fail)
    (tmp_path / "out").mkdir()
    done = call(run, "--arch", "resnet18", "--out", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unexpected LookupError: nobody foresaw this")
    assert len(list((tmp_path / "out" / "logs").iterdir())) == 1


@pytest.mark.parametrize(
    "command", [("reports", "schema"), ("hsa_bench.run", "--list"), ("hsa_bench.run", "--help")]
)
def test_a_full_standard_output_is_one_sentence(command: tuple[str, ...], tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            line(*command), stdout=full, stderr=subprocess.PIPE, encoding="utf-8", cwd=tmp_path,
            env=environment(), check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written (No space left on device)\n"


def test_a_pipe_that_nobody_reads_and_a_closed_output_are_quiet(tmp_path: Path) -> None:
    whole = subprocess.list2cmdline(line("reports", "schema"))
    done = subprocess.run(
        f"set -o pipefail; {whole} | true; {whole} >&-",
        shell=True, executable="/bin/bash", capture_output=True, encoding="utf-8", cwd=tmp_path,
        env=environment(), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.long
def test_a_run_in_a_plain_ascii_locale(tmp_path: Path) -> None:
    """A real process and its real worker; the preset, the folder and the report hold other letters."""
    (tmp_path / "größe.yaml").write_text(
        "title: Größe — “骨干”\nrandom_controls: 0\ndataset: digits\ntasks: [knn]\nlimit: 20\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        line("hsa_bench.run", "--preset", "größe.yaml", "--arch", "pixels", "--out", "aus-größe"),
        capture_output=True, cwd=tmp_path, env=environment(**ASCII), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert "report: aus-größe/report.md" in done.stdout.decode()
    assert "Größe — “骨干”" in (tmp_path / "aus-größe" / "report.md").read_text(encoding="utf-8")


def test_streams_take_any_text_in_a_plain_ascii_locale() -> None:
    code = (
        "from hsa_bench.core.commands.streams import take_any_text; import sys; take_any_text();"
        "print(chr(0x2026) + chr(0xdcff)); print(chr(0x2026), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, cwd=ROOT, env=environment(**ASCII), check=True
    )
    assert (done.stdout.decode(), done.stderr.decode()) == ("…\\udcff\n", "…\n")


def test_every_command_is_an_application_with_the_guard() -> None:
    import hsa_bench.__main__ as console
    from hsa_bench.core.commands.command import Command

    suite = console.hsa_bench
    apps = console.app, run, suite.inspect.app, suite.cache.app, suite.reproduce.app
    for app in (*apps, console.pretrain.__main__.app, console.reports.__main__.app):
        assert isinstance(app, Command)
    assert issubclass(Command, typer.Typer)
