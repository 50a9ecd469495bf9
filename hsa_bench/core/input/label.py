"""The rule for names of backbones and tasks, which become folders and cells of tables. Free of torch."""

from __future__ import annotations

import unicodedata

from hsa_bench.core.digest import digest

MOST_BYTES = 100
"""Of a name in UTF-8; folders, and files named after them, have room for 255."""

FORMULA = "=+-@"
"""What begins a formula where a spreadsheet opens the table."""


def fault_of(label: str) -> str:
    """Return why a text is no name for a backbone, with the remedy; empty if it is one."""
    if fault := folder_fault(label):
        return fault
    if not label.isprintable():
        return "holds a character that cannot be seen (a control character, say); write letters and digits"
    if label != label.strip():
        return "begins or ends with a space; leave it out"
    if unicodedata.normalize("NFKC", label)[0] in FORMULA:
        return f"begins with {label[0]}, as a spreadsheet's formula; begin with a letter or a digit"
    if len(label.encode()) > MOST_BYTES:
        return f"has {len(label.encode())} bytes; a name has at most {MOST_BYTES}"
    return ""


def folder_fault(name: str) -> str:
    """Return why a text does not name a folder inside another one; empty if it does."""
    if not name:
        return "is empty; give a name"
    if name in {".", ".."}:
        return "is a folder's own sign; give another name"
    if sign := next((sign for sign in "/\\\0" if sign in name), ""):
        return f"holds {sign!r}, and is the name of a folder; leave it out"
    return ""


def checked(label: str) -> str:
    """Return a name of a backbone as it is.

    Raises:
        ValueError: It breaks the rule; the message says how, and the remedy.
    """
    if fault := fault_of(label):
        raise ValueError(f"the name {shown(label)} {fault}")
    return label


def valid(text: str) -> str:
    """Return a text if it is a name, else a name made of it: the same for the same text."""
    if not fault_of(text):
        return text
    plain = unicodedata.normalize("NFKC", text)
    seen = "".join(sign if sign.isprintable() and sign not in "/\\" else "-" for sign in plain)
    short = seen.lstrip(FORMULA + " ").encode()[: MOST_BYTES - 20].decode(errors="ignore").strip()
    return f"{short or 'backbone'}-{digest(text.encode(errors='surrogatepass'), length=4)}"


def shown(text: str, most: int = 60) -> str:
    """Return a text as a message can show it: in quotes, without control characters, cut where it is long."""
    return repr(text if len(text) <= most else text[:most] + "…")
