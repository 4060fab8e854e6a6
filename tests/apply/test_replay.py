"""Replaying a log with columns comes to what the obvious loop over its records comes to."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.audit import AuditLog, Entry, Event, Outcome
from sippet_reconcile.audit.records import AUDIT, GENESIS, chain, table_of_records
from sippet_reconcile.errors import AuditError
from sippet_reconcile.run import RUN_RECORDS, load_run, read_events, replay, state_of
from sippet_reconcile.schema import arrow_to_frame

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
RUNS = ("run-1", "run-2")
WORDS = [outcome for outcome in Outcome if outcome is not Outcome.PENDING]


# The obvious loop


def tell(records):
    """Walk over records as dicts and return the facts of the run, and one dict per call in plan order."""
    run = {"facts": {}, "n_sessions": 0, "ended": None, "ended_note": None, "approvals": ()}
    calls, underway = {}, set()

    def call_of(call_id):
        blank = {"intent": {}, "outcome": {}, "open": False, "ours": False, "attempts": 0}
        return calls.setdefault(call_id, blank | {"before": None, "after": None})

    for record in records:
        event, call_id = record["event"], record["call_id"]
        if event == "run-started":
            for started in underway:
                calls[started]["ours"] = True
            underway = set()
            run["n_sessions"] += 1
            run["ended"] = run["ended_note"] = None
            run["facts"] = run["facts"] or json.loads(record["note"])
            before, after = json.loads(record["before"] or "{}"), json.loads(record["after"] or "{}")
            for meant, values in after.items():
                call_of(meant).update(before=json.dumps(before.get(meant)), after=json.dumps(values))
        elif event == "approval":
            given = record["by"], record["at"], record["note"]
            run["approvals"] = tuple(dict.fromkeys([*run["approvals"], given]))
        elif event == "run-ended":
            run["ended"], run["ended_note"] = record["reason"], record["note"]
            for started in underway:
                calls[started]["open"] = False
            underway = set()
        elif event == "intent":
            call_of(call_id).update(intent=record, open=True)
            underway.add(call_id)
        elif event == "attempt":
            call_of(call_id)["attempts"] += 1
        else:
            call_of(call_id).update(outcome=record, open=False)
            calls[call_id]["ours"] |= record["outcome"] in {"applied", "altered", "unknown", "failed"}
            underway.discard(call_id)
    for call in calls.values():
        call["ours"] |= call["open"]
    return run, calls


def last(call):
    return "unknown" if call["open"] else call["outcome"].get("outcome", "pending")


def observed(call):
    note = call["outcome"].get("note")
    return json.loads(note).get("observed", {}) if note and not call["open"] else {}


def row(call_id, call):
    """Return one row of `Run.records`."""
    intent, outcome = call["intent"], call["outcome"]
    latest = outcome or intent
    copied = (
        "call_uuid", "confirmed_by", "http_status", "error_code", "error_detail", "request_id",
        "explanation", "reason", "source_file", "source_row",
    )  # fmt: skip
    found = {name: latest.get(name) for name in copied}
    if call["open"]:
        found |= dict.fromkeys(("confirmed_by", "http_status", "error_code", "request_id"))
        found["error_detail"] = (
            "the run ended abruptly after its intent was written: apply again, the call is read first"
        )
    return found | {
        "call_id": call_id,
        "outcome": last(call),
        "at": None if call["open"] else outcome.get("at"),
        "before": intent.get("before") or call["before"],
        "after": intent.get("after") or call["after"],
        "observed": json.dumps(observed(call)) if observed(call) else None,
        "reread": intent.get("note"),
        "n_attempts": call["attempts"],
    }


def frame_of(calls):
    rows = [row(call_id, call) for call_id, call in calls.items()]
    columns = {}
    for name, dtype in RUN_RECORDS.dtypes.items():
        values = [found[name] for found in rows]
        columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)


def plain(records):
    values = records.astype(object)
    return values.where(values.notna(), None).to_dict("records")


# Any log


@st.composite
def entries(draw):
    """Return one record of one of the runs; the order need not make sense."""
    number = draw(st.integers(0, 99))
    columns = {
        "run_id": draw(st.sampled_from(RUNS)),
        "plan_id": f"plan-{number}",
        "api_url": "https://api.example",
    }
    event = draw(
        st.sampled_from([*[Event.INTENT] * 4, *[Event.OUTCOME] * 4, Event.ATTEMPT, *[Event.RUN_STARTED] * 2, Event.RUN_ENDED, Event.APPROVAL])
    )  # fmt: skip
    maybe = st.sampled_from([None, f"text {number}", 'Zoë = "1"'])
    if event is Event.RUN_STARTED:
        columns["note"] = json.dumps(
            draw(st.sampled_from([{}, {"n_calls": number}, {"reverts_run_id": "run-1"}]))
        )
        if draw(st.booleans()):
            ids = draw(st.lists(st.sampled_from("fedcba"), unique=True))
            columns["after"] = json.dumps({call_id: {"status": f"meant {number}"} for call_id in ids})
            columns["before"] = json.dumps({call_id: {"status": None} for call_id in ids[:2]})
    elif event is Event.APPROVAL:
        columns |= {"by": draw(maybe), "note": draw(maybe)}
    elif event is Event.RUN_ENDED:
        columns |= {"reason": draw(st.sampled_from(["complete", "interrupted"])), "note": draw(maybe)}
    else:
        columns |= {
            name: draw(maybe) for name in ("call_uuid", "error_code", "error_detail", "request_id", "reason")
        }
        columns |= {
            "call_id": draw(st.sampled_from("abcdef")),
            "source_row": number,
            "source_file": draw(maybe),
        }
        columns |= {
            name: draw(st.sampled_from([None, f'{{"status":"{name} {number}"}}']))
            for name in ("before", "after")
        }
        columns["note"] = draw(
            st.sampled_from([None, '{"observed":{"status":"busy"}}', '{"observed":{}}', "{}"])
        )
        columns |= {"http_status": draw(st.sampled_from([None, 200])), "confirmed_by": draw(maybe)}
    if event is Event.OUTCOME:
        columns["outcome"] = draw(st.sampled_from(WORDS))
    return Entry(event=event, at=NOON + timedelta(microseconds=number), **columns)


def first_note(records):
    notes = records.loc[records["event"].eq("run-started"), "note"].tolist()
    return json.loads(notes[0]) if notes else {}


def check_state(state, facts, calls):
    """Compare a state with what the loop told."""
    assert {name: getattr(state, name) for name in facts} == facts
    assert list(state.calls) == list(calls)
    for call_id, call in state.calls.items():
        want = calls[call_id]
        told = call.last.value, call.is_open, call.may_be_ours, call.observed, call.n_attempts
        assert told == (last(want), want["open"], want["ours"], observed(want), want["attempts"])
    ids = pd.Series(["new", *reversed(calls)], dtype="str")
    left = [ids[place] for place in state.calls.left_of(ids)]
    assert left == [c for c in ids if c not in calls or last(calls[c]) not in {"applied", "already"}]


@settings(deadline=None)
@given(told=st.lists(entries(), max_size=40))
def test_columns_tell_of_any_records_where_a_run_stands_as_a_loop_over_them_does(told):
    records = arrow_to_frame(table_of_records(chain(told, seq=0, head=GENESIS)), AUDIT)
    check_state(replay(records), *tell(plain(records)))


@settings(max_examples=30, deadline=None)
@given(told=st.lists(st.lists(entries(), min_size=1, max_size=15), min_size=1, max_size=4))
@pytest.mark.slow
def test_runs_that_share_a_log_are_told_apart_whatever_parts_their_records_are_in(told):
    with tempfile.TemporaryDirectory() as folder:
        log = AuditLog(folder)
        with log.writing() as writer:
            for part in told:
                writer.append(part)
        records = log.records()
        known = read_events(log)
        assert known.run_ids == records["run_id"].drop_duplicates().tolist()
        assert load_run(log).run_id == records["run_id"].iloc[-1]
        listed = log.runs().set_index("run_id")
        assert listed.index.tolist() == known.run_ids
        for run_id in known.run_ids:
            mine = records.loc[records["run_id"].eq(run_id)]
            facts, calls = tell(plain(mine))
            check_state(state_of(known.of(run_id)), facts, calls)
            run = load_run(log, run_id)
            pd.testing.assert_frame_equal(run.records, frame_of(calls))
            latest = mine.iloc[-1]
            of_sessions = mine.loc[mine["event"].ne("approval")]
            at = (of_sessions if len(of_sessions) else mine)["at"]
            edges = (latest["plan_id"], latest["hash"], at.iloc[0], at.iloc[-1])
            assert (run.plan_id, run.head, run.started_at, run.last_at) == edges
            seen = listed.loc[run_id]
            assert (seen["plan_id"], seen["head"], seen["started_at"], seen["last_at"]) == edges
            words = [last(call) for call in calls.values()]
            assert {word: seen[word] for word in WORDS} == {word: words.count(word) for word in WORDS}
            assert seen["n_sessions"] == facts["n_sessions"]
            reverts, ended = (
                None if pd.isna(seen[name]) else seen[name] for name in ("reverts_run_id", "ended")
            )
            assert reverts == first_note(mine).get("reverts_run_id")
            is_end = latest["event"] == "run-ended"
            assert ended == (facts["ended"] if is_end else None)
            told_calls = {c for c, call in calls.items() if call["open"] or call["outcome"]}
            n_calls = first_note(mine).get("n_calls", len(told_calls))
            assert (seen["n_calls"], seen["without_outcome"]) == (n_calls, n_calls - len(told_calls))


def append_all(folder, *told):
    log = AuditLog(folder)
    with log.writing() as writer:
        writer.append(list(told))
    return log


def test_a_word_of_a_later_version_is_refused_and_not_taken_for_another(tmp_path):
    whole = {"run_id": "run-1", "plan_id": "plan-1", "api_url": "https://api.example", "at": NOON}
    log = append_all(
        tmp_path / "audit", Entry(event=Event.OUTCOME, call_id="a", outcome="withdrawn", **whole)
    )
    with pytest.raises(AuditError, match=r"'withdrawn', which this version .* does not know"):
        load_run(log)


@pytest.mark.parametrize(
    "columns",
    [{"event": Event.INTENT}, {"event": Event.OUTCOME, "call_id": "a"}, {"event": Event.OUTCOME, "outcome": Outcome.APPLIED}],
    ids=["intent without call", "outcome without outcome", "outcome without call"],
)  # fmt: skip
def test_a_record_that_lacks_its_call_or_outcome_is_refused(tmp_path, columns):
    whole = {"run_id": "run-1", "plan_id": "plan-1", "api_url": "https://api.example", "at": NOON}
    log = append_all(tmp_path / "audit", Entry(**columns, **whole))
    with pytest.raises(AuditError, match="record of run run-1 that lacks"):
        load_run(log)


@pytest.mark.parametrize(
    "note", [None, "", "{", "[]", '"text"', "[" * 100_000], ids=lambda note: str(note)[:6]
)
def test_a_start_whose_note_was_edited_is_told_as_that(tmp_path, note):
    whole = {"run_id": "run-1", "plan_id": "plan-1", "api_url": "https://api.example", "at": NOON}
    log = append_all(tmp_path / "audit", Entry(event=Event.RUN_STARTED, note=note, **whole))
    with pytest.raises(AuditError, match="the note of a start of run run-1 in the audit log is"):
        load_run(log)


def test_reading_a_run_opens_each_part_only_for_the_columns_it_needs_there(tmp_path):
    whole = {"run_id": "run-1", "plan_id": "plan-1", "api_url": "https://api.example", "at": NOON}
    log = append_all(
        tmp_path / "audit", *(Entry(event=Event.INTENT, call_id=c, note=c * 5, **whole) for c in "abc")
    )
    state = state_of(read_events(log).of("run-1"))
    # An intent's note is long and says nothing of where the run stands.
    assert state.calls.notes.null_count == 3
    assert load_run(log).records["reread"].tolist() == ["aaaaa", "bbbbb", "ccccc"]
