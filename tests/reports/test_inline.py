"""Cells of tables as plain text and LaTeX, and LaTeX that a compiler takes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reports.writing.inline import escaped, latex, lines, text
from reports.writing.table import Table, code, link, plain


@pytest.mark.parametrize(
    ("markdown", "plain_text", "tex"),
    [
        ("67.5 ± 0.1", "67.5 ± 0.1", r"67.5 $\pm$ 0.1"),
        ("[**71.2**](results/a%20b/x.json)", "71.2", r"\textbf{71.2}"),
        (plain("a_b & <c> | *d*"), "a_b & <c> | *d*", r"a\_b \& $<$c$>$ $|$ *d*"),
        (code("p|q`r"), "p|q'r", r"\texttt{p$|$q'r}"),
        ("−1.5 %", "−1.5 %", r"$-$1.5 \%"),
        ("—", "—", "---"),
    ],
)
def test_a_cell_reads_the_same_in_every_format(markdown: str, plain_text: str, tex: str) -> None:
    assert text(markdown) == plain_text
    assert latex(markdown) == tex


def test_lines_of_a_cell_are_kept_apart() -> None:
    assert lines("67.5<br>+1.2 [0.3, 2.1]") == ["67.5", "+1.2 [0.3, 2.1]"]
    assert text("67.5<br>+1.2") == "67.5; +1.2"
    assert latex("a<br>b", "r") == r"\begin{tabular}[t]{@{}r@{}}a \\ b\end{tabular}"


def test_no_character_of_latex_gets_through() -> None:
    assert escaped("\\{}&%$#_~^") == (r"\textbackslash{}\{\}\&\%\$\#\_\textasciitilde{}\textasciicircum{}")


def test_links_survive_brackets_and_spaces_in_names() -> None:
    assert link("x", "results/a (b)/c d.json") == "[x](results/a%20%28b%29/c%20d.json)"
    assert link("x", "") == "x"


TABLE = Table(
    ("backbone", "top1<br>%"),
    ((plain("a_b & co #1 ~ 100 % \\x {y} ^"), "**67.5 ± 0.1**<br>+1.2"), (code("k|y_"), "—")),
)


def test_a_table_has_booktabs_rules_and_as_many_cells_as_columns() -> None:
    lines = TABLE.latex("Cost in $, 5 %").splitlines()

    assert lines[2] == r"\caption{Cost in \$, 5 \%}"
    assert [line for line in lines if line.endswith("rule")] == [r"\toprule", r"\midrule", r"\bottomrule"]
    for line in lines[lines.index(r"\toprule") :]:
        outer = re.sub(r"\\begin\{tabular\}\[t\].*?\\end\{tabular\}", "", line)
        if outer.endswith(r"\\"):
            assert len(re.findall(r"(?<!\\)&", outer)) == 1


def test_a_csv_is_plain_text() -> None:
    assert TABLE.csv().splitlines()[1] == "a_b & co #1 ~ 100 % \\x {y} ^,67.5 ± 0.1; +1.2"


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="needs pdflatex (package texlive-latex-recommended)"
)
def test_latex_compiles(tmp_path: Path) -> None:
    body = TABLE.latex("Cost in $, 5 %")
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")

    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout[-2000:]
