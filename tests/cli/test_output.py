"""What is printed: tables for people, plain values for machines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from sippet_reconcile.cli.output import plain, print_frame, print_json, print_summary


def test_plain_values_survive_json():
    values = {
        "text": "Zoë", "count": np.int64(3), "share": 0.5, "nan": float("nan"), "na": pd.NA, "nat": pd.NaT,
        "flag": np.bool_(True), "none": None, "at": pd.Timestamp("2026-10-01T12:00Z"), "day": datetime(2026, 10, 1, tzinfo=UTC),
        "path": Path("a") / "b", "money": Decimal("1.50"), "list": (1, [pd.NA]), 7: "key",
        "frame": pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "t": ["a", None]}),
    }  # fmt: skip
    told = json.loads(json.dumps(plain(values), allow_nan=False))
    assert told == {
        "text": "Zoë", "count": 3, "share": 0.5, "nan": None, "na": None, "nat": None, "flag": True, "none": None,
        "at": "2026-10-01T12:00:00+00:00", "day": "2026-10-01T00:00:00+00:00", "path": str(Path("a") / "b"),
        "money": "1.50", "list": [1, [None]], "7": "key", "frame": [{"n": 1, "t": "a"}, {"n": None, "t": None}],
    }  # fmt: skip


def test_an_empty_frame_is_an_empty_list_and_says_none(capsys):
    print_json(pd.DataFrame({"a": []}))
    print_frame(pd.DataFrame({"a": []}), title="things")
    assert capsys.readouterr().out == "[]\n\nthings\n(none)\n"


def test_tables_mask_numbers_cut_long_texts_and_count_the_rest(capsys):
    frame = pd.DataFrame(
        {
            "from_number": ["+442079460123"] * 3,
            "source_row": [1234] * 3,
            "note": ["x" * 100] * 3,
            "share": [0.25] * 3,
        }
    )
    print_frame(frame, most=2)
    out = capsys.readouterr().out
    assert "2079460123" not in out
    assert " 1234 " in out
    assert "x" * 71 not in out
    assert "25.0%" in out
    assert out.endswith("and 1 more\n")


def test_only_the_columns_that_are_there_are_shown(capsys):
    print_frame(pd.DataFrame({"a": [1], "b": [2]}), columns=["b", "c"])
    assert capsys.readouterr().out.split() == ["b", "-", "2"]


def test_summaries_show_missing_as_a_dash_and_nested_values_on_one_line(capsys):
    print_summary(
        {"n_calls": 1204, "net_s": -3.0, "by": {"a": 1, "b": None}, "codes": ("x", "y"), "gone": None},
        title="run",
    )
    assert capsys.readouterr().out.splitlines() == [
        "run",
        "  calls    1,204",
        "  net (s)  -3",
        "  by       a 1, b –",
        "  codes    x, y",
        "  gone     –",
    ]
