from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hsa_bench.core.data.open import open_dataset
from hsa_bench.core.digest import WHOLE, digest, digest_of


@pytest.mark.parametrize("length", [6, 16, WHOLE])
def test_a_digest_is_sha256_cut(length: int) -> None:
    expected = hashlib.sha256("grün\0blau".encode()).hexdigest()
    assert digest("grün\0blau", length=length) == expected[:length]
    assert digest("grün".encode(), b"\0", "blau", length=length) == expected[:length]


def test_the_order_of_keys_does_not_matter_and_that_of_values_does() -> None:
    assert digest_of({"a": 1, "b": [1, 2.5]}) == digest_of({"b": [1, 2.5], "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})
    assert digest_of({"a": [1, 2.5], "b": {"c": None, "é": "ü"}}) == "6e0c7c9c5ec81f74"


def test_the_fingerprint_of_digits_is_the_one_on_file() -> None:
    digits = open_dataset("digits", Path())
    assert digits.fingerprint() == "a2670cabe8d8d9ca"
    assert digits.limited(77).fingerprint() == "c8cbb2198b4682bc"
