"""What rows have to lie together to be candidates for each other, and what of the whole they need beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sippet_reconcile.phones import e164_array
from sippet_reconcile.reconciliation import Rules
from sippet_reconcile.reconciliation.matching import edges, starts
from sippet_reconcile.reconciliation.matching.candidates import Candidates, find_candidates
from sippet_reconcile.reconciliation.matching.edges import meeting_keys
from sippet_reconcile.reconciliation.matching.parties import read_calls, read_cdr_calls
from sippet_reconcile.reconciliation.matching.starts import Sample, StartGaps
from sippet_reconcile.schema import text_array

BEGIN = pd.Timestamp("2026-10-05T08:00:00Z")
NOBODY = ["anonymous", "Unbekannt", "Restricted", "0000000", "", None, "client:ana7", "sip:anonymous@invalid"]


def number(rng: np.random.Generator, ends: list[str]) -> str | None:
    """Return a number of few that there are, in one of the forms that the same number has."""
    whole = "+44207946" + rng.choice(ends)
    cut = whole[-rng.choice([4, 6, 7, 8, 10]) :]
    shown = ["0" + whole[3:], whole[1:], "00" + whole[1:], f"sip:{whole}@pbx.example"]
    forms = [[whole], shown, [cut], [cut[:-2] + "-" + cut[-2:], f"sip:{cut}@pbx.example"], NOBODY]
    form = forms[rng.choice(5, p=[0.4, 0.15, 0.25, 0.05, 0.15])]
    return form[rng.integers(len(form))]


def rows_of(rng: np.random.Generator, size: int) -> list[dict[str, Any]]:
    """Return rows of few people who call each other all the time."""
    return [
        {
            "from_number": number(rng, ["0123", "1123"]),
            "to_number": number(rng, ["0999", "1999", "0998"]),
            "has_e164": bool(rng.random() < 0.5),
            "direction": rng.choice(["inbound", "outbound", None], p=[0.2, 0.1, 0.7]),
            "at": int(rng.integers(0, 120)) if rng.random() < 0.95 else None,
            "seconds": int(rng.integers(0, 60)) if rng.random() < 0.9 else None,
            "is_coarse": bool(rng.random() < 0.1),
            "time_problem": "twice" if rng.random() < 0.05 else None,
        }
        for _ in range(size)
    ]


def frame_of(rows: list[dict[str, Any]], *, of_cdr: bool) -> pd.DataFrame:
    """Return the columns that matching by numbers reads; a side has its numbers in E.164 where it says so."""

    def column(name: str, dtype: str) -> pd.Series:
        return pd.Series([row[name] for row in rows], dtype=dtype)

    start = (BEGIN + pd.to_timedelta(column("at", "Float64").astype("float64"), unit="s")).astype(
        "datetime64[us, UTC]"
    )
    seconds = column("seconds", "Float64")
    frame = pd.DataFrame(
        {
            "direction": column("direction", "str"),
            "started_at": start,
            "ended_at": start + pd.to_timedelta(seconds.astype("float64"), unit="s"),
        }
    )
    for party in ("from", "to"):
        frame[f"{party}_number"] = column(f"{party}_number", "str")
        known = pd.Series(e164_array(text_array(frame[f"{party}_number"])).to_pylist(), dtype="str")
        if of_cdr:
            frame[f"{party}_e164"] = known.where(column("has_e164", "bool"))
    if of_cdr:
        return frame.assign(
            billable_s=seconds,
            total_s=seconds,
            is_coarse=column("is_coarse", "boolean"),
            time_problem=column("time_problem", "str"),
            legs_problem=pd.Series([None] * len(rows), dtype="str"),
        )
    return frame.assign(duration_seconds=seconds)


def candidates_of(frames: Sequence[pd.DataFrame], rules: Rules) -> Candidates:
    """Return the candidates of all rows of both frames, each file of which has one row."""
    free = [np.ones(len(frame), np.bool_) for frame in frames]
    return find_candidates(*frames, *free, rules, file=np.arange(len(frames[1])))


def told(found: Candidates, rows: list[Any]) -> set[tuple[Any, ...]]:
    """Return all that candidates say of rows, by their places in the whole."""
    said: set[tuple[Any, ...]] = set()
    for kind, of_kind in (("full", found.full.edges), ("weak", found.weak)):
        places = [of[at] for of, at in zip(rows, found.positions(of_kind), strict=True)]
        said |= {(kind, *one) for one in zip(*places, of_kind.is_crowded.tolist(), strict=True)}
    alone = found.alone(np.ones(len(rows[1]), np.bool_))
    return said | {("alone", *row) for row in zip(rows[1][alone.file], alone.gap, alone.is_like, strict=True)}


@given(
    seed=st.integers(0, 10_000),
    sizes=st.tuples(st.integers(0, 25), st.integers(0, 25)),
    number_digits=st.integers(1, 15),
    window=st.sampled_from([5.0, 60.0]),
)
def test_rows_that_an_edge_joins_have_one_key_and_are_candidates_without_all_others(
    seed: int, sizes: Any, number_digits: int, window: float
) -> None:
    rng = np.random.default_rng(seed)
    calls, cdr_calls = (rows_of(rng, size) for size in sizes)
    frames = frame_of(calls, of_cdr=False), frame_of(cdr_calls, of_cdr=True)
    rules = Rules(number_digits=number_digits, start_window_s=window)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edges, "MOST_RIVALS", 4)
        patch.setattr(edges, "MOST_WEAK_RIVALS", 2)
        whole = candidates_of(frames, rules)
        every = [np.arange(len(frame)) for frame in frames]
        keys = [meeting_keys(side) for side in (whole.left, whole.right)]
        for of_kind in (whole.full.edges, whole.weak):
            assert keys[0][of_kind.call].tolist() == keys[1][of_kind.cdr].tolist()
        in_parts: set[tuple[Any, ...]] = set()
        for key in set(keys[0].tolist()) | set(keys[1].tolist()):
            rows = [side.pos[of == key] for side, of in zip((whole.left, whole.right), keys, strict=True)]
            some = [frame.iloc[at].reset_index(drop=True) for frame, at in zip(frames, rows, strict=True)]
            in_parts |= told(candidates_of(some, rules), rows)
    assert in_parts == told(whole, every)


@pytest.mark.parametrize(
    ("caller", "called", "digits", "kind"),
    [
        ("+442079460123", "+442079460999", 9, "full"),
        ("anonymous", "+442079460999", 9, "weak"),
        ("460123", "+442079460999", 9, "weak"),
        ("+442079460123", "460999", 9, "weak"),
        ("+442079460123", "9460999", 9, "weak"),
        ("+442079460123", "60999", 5, "full"),
        ("+442079460123", "999", 3, "full"),
    ],
)
def test_each_kind_of_edge_joins_rows_of_one_key(caller: str, called: str, digits: int, kind: str) -> None:
    row = {
        "has_e164": True,
        "direction": None,
        "at": 0,
        "seconds": 5,
        "is_coarse": False,
        "time_problem": None,
    }
    call = frame_of([{**row, "from_number": caller, "to_number": called}], of_cdr=False)
    cdr = frame_of([{**row, "from_number": "+442079460123", "to_number": "+442079460999"}], of_cdr=True)
    found = candidates_of([call, cdr], Rules(number_digits=digits))
    assert (len(found.full.edges), len(found.weak)) == ((1, 0) if kind == "full" else (0, 1))
    assert meeting_keys(found.left).tolist() == meeting_keys(found.right).tolist()


def test_rows_that_may_not_be_matched_are_read_by_neither_side() -> None:
    row = {
        "has_e164": True,
        "direction": None,
        "at": 0,
        "seconds": 5,
        "is_coarse": False,
        "time_problem": None,
    }
    both = {**row, "from_number": "+442079460123", "to_number": "+442079460999"}
    rows = [
        both,
        {**both, "at": None},
        {**both, "to_number": "anonymous"},
        {**both, "from_number": "client:ana7"},
    ]
    calls, cdr = (
        frame_of(rows, of_cdr=False),
        frame_of([*rows, {**both, "time_problem": "twice"}], of_cdr=True),
    )
    assert read_calls(calls, np.ones(4, np.bool_), Rules()).pos.tolist() == [0]
    assert read_cdr_calls(cdr, np.ones(5, np.bool_), Rules()).pos.tolist() == [0]
    assert read_calls(calls, np.zeros(4, np.bool_), Rules()).pos.tolist() == []


SECONDS = st.integers(-40, 40).map(lambda seconds: seconds * 1_000_000)
SAMPLE = st.lists(st.tuples(SECONDS, st.integers(0, 3), st.booleans(), st.booleans()), max_size=60)


@given(SAMPLE, SAMPLE)
def test_nobody_asks_what_numbers_alone_say_in_a_file_of_enough_pairs_by_ids(exact: Any, alone: Any) -> None:
    def sample(rows: Any, *, by_id: bool) -> Sample:
        gap, file, can_tell, is_like = np.array(rows, np.int64).reshape(-1, 4).T
        flags = (None, None) if by_id else (can_tell > 0, (can_tell & is_like) > 0)
        return Sample(gap, file, *flags)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starts, "ENOUGH_PAIRS", 8)
        patch.setattr(starts, "SOME_PAIRS", 3)
        by_id, by_numbers = sample(exact, by_id=True), sample(alone, by_id=False)
        files = starts.FilesOfPairs(np.zeros(0, np.int64), 4, np.zeros(4, np.int64), by_id)
        asked = files.have_few_pairs[by_numbers.file]
        few = sample([row for row, is_asked in zip(alone, asked, strict=True) if is_asked], by_id=False)
        of_all, of_few = (StartGaps.of(by_id, found, 4, Rules()) for found in (by_numbers, few))
    for name in StartGaps.__dataclass_fields__:
        assert getattr(of_all, name).tolist() == getattr(of_few, name).tolist()
