"""Rules are checked when they are made, cannot be changed, and survive TOML."""

from __future__ import annotations

import dataclasses
import pickle
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.schema import LEG_STATUSES

PROMISED = {
    "duration": "auto",
    "duration_tolerance_s": 1,
    "duration_rounding": "half_up",
    "time_tolerance_s": 2,
    "start_window_s": 60,
    "number_digits": 9,
    "settle_s": 7200,
    "clock_offset_s": 0,
    "open_statuses": ("initiated", "ringing", "answered"),
    "status_map": {},
    "internal_numbers": (),
}


def test_defaults_are_as_promised():
    assert {field.name: getattr(Rules(), field.name) for field in dataclasses.fields(Rules)} == PROMISED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("duration", "bilable"),
        ("duration", None),
        ("duration_tolerance_s", -1),
        ("duration_tolerance_s", "1"),
        ("duration_rounding", "up"),
        ("time_tolerance_s", float("nan")),
        ("time_tolerance_s", -0.5),
        ("start_window_s", float("inf")),
        ("start_window_s", True),
        ("number_digits", 0),
        ("number_digits", 16),
        ("number_digits", 9.0),
        ("settle_s", -1),
        ("settle_s", None),
        ("clock_offset_s", float("inf")),
        ("clock_offset_s", "1"),
        ("open_statuses", "ringing"),
        ("open_statuses", ("ringing", "")),
        ("open_statuses", 3),
        ("status_map", [("completed", "ended")]),
        ("status_map", {"vociemail": ("completed",)}),
        ("status_map", {"completed": (1,)}),
        ("internal_numbers", "1001"),
        ("internal_numbers", (1001,)),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=name):
        Rules(**{name: value})


def test_a_negative_clock_offset_is_allowed():
    assert Rules(clock_offset_s=-3600).clock_offset_s == -3600


def test_a_refusal_names_the_nearest_allowed_value():
    with pytest.raises(InputError, match="did you mean 'billable'"):
        Rules(duration="bilable")


def test_a_refusal_shows_no_phone_number():
    with pytest.raises(InputError) as caught:
        Rules(internal_numbers="+442079460123")
    assert "7946" not in str(caught.value)


def test_rules_are_frozen_and_hashable_with_a_status_map():
    rules = Rules(status_map={"voicemail": ["completed", "voicemail"]})
    assert hash(rules) == hash(Rules(status_map={"voicemail": ("completed", "voicemail")}))
    with pytest.raises(TypeError):
        rules.status_map["voicemail"] = ("busy",)
    with pytest.raises(dataclasses.FrozenInstanceError):
        rules.duration = "total"


def test_the_given_status_map_can_change_without_changing_the_rules():
    words = ["completed"]
    given_map = {"voicemail": words}
    rules = Rules(status_map=given_map)
    words.append("busy")
    given_map["busy"] = ["x"]
    assert rules.status_map == {"voicemail": ("completed",)}


def test_cdr_statuses_are_known_in_any_spelling_but_only_once():
    assert Rules(status_map={"No-Answer": "missed"}).status_map == {"no_answer": ("missed",)}
    with pytest.raises(InputError, match="twice"):
        Rules(status_map={"No-Answer": "missed", "no_answer": "missed"})


def test_a_status_may_be_mapped_to_nothing():
    assert Rules(status_map={"missed": []}).status_map == {"missed": ()}


def test_an_unknown_key_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match=r"'durations' \(did you mean 'duration'\?\)"):
        Rules.from_toml('durations = "total"\n')


def test_toml_text_and_file_are_read(tmp_path):
    text = 'duration = "total"\nsettle_s = 60\n[status_map]\nbusy = ["busy", "engaged"]\n'
    expected = Rules(duration="total", settle_s=60, status_map={"busy": ("busy", "engaged")})
    path = tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8")
    assert Rules.from_toml(text) == expected
    assert Rules.from_toml(path) == expected
    assert Rules.from_toml(str(path)) == expected


def test_one_long_line_of_toml_is_no_file_name():
    numbers = ", ".join(f'"{n}"' for n in range(1000, 1200))
    assert len(Rules.from_toml(f"internal_numbers = [{numbers}]").internal_numbers) == 200


def test_empty_toml_gives_the_defaults():
    assert Rules.from_toml("") == Rules()


def test_a_missing_file_and_broken_toml_are_said_so(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        Rules.from_toml(tmp_path / "none.toml")
    with pytest.raises(InputError, match="not TOML"):
        Rules.from_toml("duration = \n")
    path = tmp_path / "rules.toml"
    path.write_text('duration = "x"', encoding="utf-8")
    with pytest.raises(InputError, match=r"rules\.toml"):
        Rules.from_toml(path)


# Words are stripped when rules are made, so the drawn ones have no white space of any kind.
BLANKS = "".join(chr(n) for n in range(0x3001) if chr(n).isspace())
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=BLANKS), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(
    st.builds(
        Rules,
        duration=st.sampled_from(["auto", "billable", "total"]),
        duration_tolerance_s=st.integers(0, 100) | st.floats(0, 1e6),
        clock_offset_s=st.floats(-1e6, 1e6),
        open_statuses=st.lists(WORDS, max_size=3),
        status_map=st.dictionaries(st.sampled_from(LEG_STATUSES), st.lists(WORDS, max_size=3)),
        internal_numbers=st.lists(WORDS, max_size=3),
    )
)
def test_rules_survive_toml_json_values_and_pickle(rules):
    assert Rules.from_toml(rules.to_toml()) == rules
    assert {"status_map": {}} | tomllib.loads(rules.to_toml()) == rules.to_dict()
    assert Rules.from_dict(rules.to_dict()) == rules
    assert pickle.loads(pickle.dumps(rules)) == rules  # noqa: S301 - our own bytes
