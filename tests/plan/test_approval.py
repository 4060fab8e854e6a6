"""Who answers for a plan: which names are one person, and what an approval may not say."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError, PlanError
from sippet_reconcile.plan import Approval, Plan, build_plan
from sippet_reconcile.plan.approval import people_of
from sippet_reconcile.plan.storage import _seal

Make = Callable[..., Any]

RING = {
    "call": {"duration_seconds": 120},
    "wrong": {"duration_seconds": ("120", "110", "ring-time-included")},
}


MADE: list[Plan] = []


@pytest.fixture
def plan(make_rec: Make) -> Plan:
    """Return a plan of two calls; it is frozen, so that one does for all."""
    if not MADE:
        MADE.append(build_plan(make_rec([RING, RING])))
    return MADE[0]


def people(*names: str) -> int:
    return len(people_of(Approval.given(name, "", "plan-1") for name in names))


# Which names are one person


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("ANA LÓPEZ", id="case"),
        pytest.param("  Ana \t López\n", id="blanks"),
        pytest.param("Ana\u00a0López", id="a blank that does not break"),
        pytest.param("Ana Lo\u0301pez", id="decomposed"),
        pytest.param("\uff21\uff4e\uff41 López", id="full width"),
        pytest.param("Ana Lopez", id="accents"),
        pytest.param("An\u200ba López", id="zero-width space"),
        pytest.param("Ana\u00ad López", id="soft hyphen"),
        pytest.param("\ufeffAna López", id="byte order mark"),
        pytest.param("Ana\u2060 López", id="word joiner"),
        pytest.param("Ana\u200d López", id="joiner"),
        pytest.param("Ana\ufe0f López", id="variation selector"),
        pytest.param("Ana\u3164López", id="filler"),
        pytest.param("Ana López.", id="a dot at the end"),
        pytest.param("ana.lopez", id="a dot between"),
        pytest.param("Ana-López", id="hyphen"),
        pytest.param("'Ana López'", id="quotes"),
        pytest.param("AnaLópez", id="no blank"),
    ],
)
def test_the_same_name_in_other_letters_is_the_same_person(other: str) -> None:
    assert people("Ana López", other) == 1
    assert people(other, "Ben", "ben ", "Ana López") == 2


@pytest.mark.parametrize(
    "other",
    ["Anna López", "Ana", "A. López", "ana@example.com", "Ana López 2", "López Ana", "Анa Лопес"],  # noqa: RUF001
)
def test_another_spelling_is_another_person_as_far_as_anybody_can_tell(other: str) -> None:
    assert people("Ana López", other) == 2


def test_names_of_every_script_are_names_and_their_vowel_signs_count() -> None:
    assert people("राम", "रमा", "孙悟空", "Зоя", "علی", "1001") == 6
    assert people("می\u200cخواهم", "میخواهم") == 1  # noqa: RUF001


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_no_way_to_compose_or_to_space_a_name_makes_a_second_person(name: str) -> None:
    bare = Approval(name, "", "", "").person
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert Approval(unicodedata.normalize(form, name), "", "", "").person == bare
    spaced = "\u200b".join(name)
    assert Approval(f" {spaced}\u00ad. ", "", "", "").person == bare


def test_a_name_is_kept_as_it_was_signed_but_for_what_nobody_sees() -> None:
    assert Approval.given("\ufeff Ana\u00ad  Lo\u0301pez. ", " looked \n", "p").by == "Ana López."
    assert Approval.given("می\u200cخواهم", "", "p").by == "می\u200cخواهم"  # noqa: RUF001


# What is no approval


@pytest.mark.parametrize("by", [None, 7, b"ana", "", " \t", ".", "—", "\u200b", "\u3164", "\ud800", "\x00"])
def test_whoever_has_no_name_approves_nothing(plan: Plan, by: Any) -> None:
    with pytest.raises(InputError, match="name of a person"):
        plan.approve(by=by)


@pytest.mark.parametrize("by", ["ana\u202enaeb", "\x1b[31mana", "ana\x00", "ana\u2066b"])
def test_a_name_that_steers_a_terminal_or_turns_text_round_is_refused(plan: Plan, by: str) -> None:
    with pytest.raises(InputError, match="does not show") as caught:
        plan.approve(by=by)
    assert by not in str(caught.value)


@pytest.mark.parametrize(("by", "note"), [("a" * 201, ""), ("ana", "x" * 1_000_000), ("ana", "y" * 10_001)])
def test_what_no_report_could_show_is_refused_with_its_size(plan: Plan, by: str, note: str) -> None:
    with pytest.raises(InputError, match=f"{max(len(by), len(note)):,} characters"):
        plan.approve(by=by, note=note)


def test_the_longest_note_is_kept_whole(plan: Plan) -> None:
    assert plan.approve(by="ana", note="y" * 10_000).approvals[0].note == "y" * 10_000


@pytest.mark.parametrize("note", [None, 7, b"x", "\udcff"])
def test_a_note_that_is_no_text_is_refused(plan: Plan, note: Any) -> None:
    with pytest.raises(InputError, match="is text"):
        plan.approve(by="ana", note=note)


@pytest.mark.parametrize("note", ["\x1b[2J\u202egnihton", "<script>alert(1)</script>", "line\nline", "\x00"])
def test_a_note_is_shown_and_never_obeyed(plan: Plan, note: str) -> None:
    shown = plan.approve(by="ana", note=note).dry_run()
    html, text, markdown = shown.html(), repr(shown), shown.to_markdown()
    for sign in ("\x1b", "\u202e", "\x00", "<script>alert"):
        assert sign not in html
    for sign in ("\x1b", "\u202e", "\x00"):
        assert sign not in text
        assert sign not in markdown


def test_an_approval_is_dated_when_it_is_given(plan: Plan) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    given_at = plan.approve(by="ana").approvals[0].given_at
    assert before <= given_at <= datetime.now(UTC)


@pytest.mark.parametrize("at", ["", "yesterday", "2026-13-01T00:00:00+00:00", "2026-11-02T09:00:00", "0001-01-01T00:00:00+14:00"])  # fmt: skip
def test_a_date_that_is_none_is_refused(at: str) -> None:
    with pytest.raises(PlanError, match="no instant"):
        _ = Approval("ana", at, "", "p").given_at


def test_an_approval_is_yet_to_come_beyond_what_two_clocks_may_differ_by() -> None:
    now = datetime(2026, 11, 2, 9, tzinfo=UTC)
    told = [
        Approval("ana", (now + timedelta(seconds=s)).isoformat(), "", "p").is_yet_to_come(now)
        for s in (-1, 0, 300, 301)
    ]
    assert told == [False, False, False, True]


# What drops them, and what does not


def test_an_empty_plan_may_be_approved_and_says_what_it_is(plan: Plan) -> None:
    empty = plan.approve(by="ana").keep([])
    assert (len(empty), empty.approvals) == (0, ())
    approved = empty.approve(by="ana")
    assert approved.summary()["approved_by"] == "ana"
    assert list(approved.requests()) == []


def test_no_approval_survives_a_change_of_the_plan(plan: Plan) -> None:
    approved = plan.approve(by="ana").approve(by="ben")
    first = plan.calls["call_id"].iloc[0]
    for changed in (approved.keep([first]), approved.drop([first])):
        assert (changed.approvals, changed.plan_id == plan.plan_id) == ((), False)


def test_whatever_keeps_or_drops_gives_its_word_anew_even_where_nothing_changed(plan: Plan) -> None:
    same = plan.approve(by="ana").keep(plan.calls["call_id"])
    assert (same.plan_id, same.approvals) == (plan.plan_id, ())


def test_one_person_is_named_once_by_the_plan(plan: Plan) -> None:
    approved = plan.approve(by="Ana").approve(by="ben").approve(by="ANA.", note="again")
    assert approved.summary()["approved_by"] == "Ana, ben"
    assert [one.by for one in approved.approvals] == ["Ana", "ben", "ANA."]


# In the file


NOTES = [
    "",
    "October billing",
    "line\nline\t\x00\x1b[31m",
    "\u202e🙂 ñ n\u0303",
    '{"by":"ben"}',
    "y" * 10_000,
]


def test_approvals_survive_the_file_byte_for_byte(plan: Plan, tmp_path: Path) -> None:
    for number, note in enumerate(NOTES):
        plan = plan.approve(by=f"Zoë {number}", note=note)
    once = plan.save(tmp_path / "once.parquet")
    loaded = Plan.load(once)
    assert loaded.approvals == plan.approvals
    assert [one.note for one in loaded.approvals] == [note.strip() for note in NOTES]
    assert loaded.save(tmp_path / "twice.parquet").read_bytes() == once.read_bytes()


def edited(path: Path, edit: Callable[[list[dict[str, Any]]], Any], *, seal: bool) -> Path:
    """Write other approvals into a plan file, as anybody can who has a parquet library."""
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    approvals = edit(json.loads(metadata[b"sippet_reconcile.approvals"]))
    metadata[b"sippet_reconcile.approvals"] = json.dumps(approvals).encode()
    if seal:
        plan_id = metadata[b"sippet_reconcile.plan_id"].decode()
        metadata[b"sippet_reconcile.approvals_seal"] = _seal(plan_id, approvals).encode()
    pq.write_table(pa.Table.replace_schema_metadata(table, metadata), path)
    return path


def another(approvals: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    return [*approvals, approvals[0] | values]


EDITS = [
    pytest.param(lambda a: another(a, by="ben"), id="one more"),
    pytest.param(lambda _: [], id="none left"),
    pytest.param(lambda a: [a[0] | {"by": "ben"}], id="another name"),
    pytest.param(lambda a: [a[0] | {"at": "2026-10-01T00:00:00+00:00"}], id="another date"),
    pytest.param(lambda a: [a[0] | {"note": ""}], id="another note"),
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_list_of_approvals_is_seen(plan: Plan, tmp_path: Path, edit: Any) -> None:
    path = plan.approve(by="ana", note="October").save(tmp_path / "plan.parquet")
    with pytest.raises(PlanError, match="edited"):
        Plan.load(edited(path, edit, seal=False))


@pytest.mark.parametrize("edit", EDITS)
def test_whoever_makes_the_seal_anew_is_believed_as_the_security_page_says(plan: Plan, tmp_path: Path, edit: Any) -> None:  # fmt: skip
    path = plan.approve(by="ana", note="October").save(tmp_path / "plan.parquet")
    assert Plan.load(edited(path, edit, seal=True)).plan_id == plan.plan_id
    page = (Path(__file__).parents[2] / "SECURITY.md").read_text("utf-8")
    assert "**Approvals are names, not signatures.**" in page


@pytest.mark.parametrize(
    "values",
    [
        {"by": ""},
        {"by": "\u200b"},
        {"by": 7},
        {"by": None},
        {"at": "soon"},
        {"at": 1},
        {"note": None},
        {"plan_id": "0" * 64},
        {"rank": "chief"},
    ],
    ids=str,
)
def test_what_no_person_can_have_given_is_refused_even_under_a_new_seal(plan: Plan, tmp_path: Path, values: Any) -> None:  # fmt: skip
    path = plan.approve(by="ana", note="October").save(tmp_path / "plan.parquet")
    with pytest.raises(PlanError, match="edited"):
        Plan.load(edited(path, lambda a: another(a, **values), seal=True))


@pytest.mark.parametrize("wrong", [7, [7], [["ana"]], {"by": "ana"}, None], ids=str)
def test_approvals_that_are_no_list_of_approvals_are_refused(plan: Plan, tmp_path: Path, wrong: Any) -> None:
    path = plan.approve(by="ana").save(tmp_path / "plan.parquet")
    with pytest.raises(PlanError, match="edited"):
        Plan.load(edited(path, lambda _: wrong, seal=True))


def test_a_hand_made_approval_of_another_plan_is_not_saved_as_one_of_this(plan: Plan, tmp_path: Path) -> None:
    stray = replace(plan.approve(by="ana").approvals[0], plan_id="0" * 64)
    path = replace(plan, approvals=(stray,)).save(tmp_path / "plan.parquet")
    with pytest.raises(PlanError, match="edited"):
        Plan.load(path)
