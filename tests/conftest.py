"""Fixtures that every test may use, and the same surroundings for all, wherever they run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A slow or busy machine is no failure.
# A change is judged by the same examples whenever it is judged; whoever works on it meets new ones each time.
settings.register_profile(
    "sippet",
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("sippet")

# A shell starts background jobs with Ctrl-C ignored, and the programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The servers of tests are on this machine, where a proxy does not look for them.
for name in [name for name in os.environ if name.lower() in {"http_proxy", "https_proxy", "all_proxy"}]:
    del os.environ[name]


# One rule put to many cases of one kind: by default every n-th of them, the others among the slow tests.
EVERY_NTH = {
    "apply/test_control_call.py::test_a_token_that_expires_after_any_request_in_any_style_is_settled_by_the_next_one": 2,
    "apply/test_fault_matrix.py::test_each_row_of_the_fault_matrix_is_what_happens": 4,
    "apply/test_retries.py::test_a_fault_that_does_not_end_is_given_up_after_so_many_requests": 3,
    "apply/test_retries.py::test_a_fault_that_ends_is_outlasted_and_the_call_is_read_between": 2,
    "apply/test_retries.py::test_every_other_answer_comes_to_something_the_log_has_a_word_for": 3,
    "apply/test_retries.py::test_what_was_written_and_not_confirmed_is_read_back_and_never_sent_again": 3,
    "apply/test_revert.py::test_a_patch_that_is_carried_out_after_another_was_refused_is_ours_and_can_be_undone": 2,
    "audit/test_disk.py::test_a_log_that_takes_no_more_stops_the_run_ahead_of_the_next_request": 3,
    "browser/test_every_report.py::test_a_narrow_window_scrolls_no_page_sideways": 3,
    "browser/test_every_report.py::test_a_report_is_built_for_whoever_does_not_see_it": 3,
    "browser/test_every_report.py::test_text_stands_out_from_what_lies_under_it_in_light_and_dark": 3,
    "browser/test_paper_and_keyboard.py::test_the_tab_key_reaches_everything_in_order_and_shows_where_it_is": 2,
    "cdr/test_mutations.py::test_a_damaged_invented_export_is_read_honestly_or_refused": 3,
    "cdr/test_mutations.py::test_a_damaged_real_export_is_read_honestly_or_refused": 3,
    "plan/test_storage.py::test_any_edit_is_refused": 3,
    "reconciliation/test_fallback_worlds.py::test_no_pair_is_wrong_and_most_are_found": 2,
    "sandbox/test_fault_kinds.py::test_a_fault_writes_and_answers_as_the_table_says": 2,
    "sandbox/test_fault_kinds.py::test_a_read_meets_what_a_read_can_meet": 2,
    "security/test_strangers.py::test_no_text_of_a_stranger_adds_an_element_or_an_attribute_to_a_page": 2,
    "truth/test_causes.py::test_what_was_planted_is_named": 2,
    "truth/test_clean_months.py::test_a_clean_month_has_no_discrepancy_and_no_finding_above_info": 3,
    "truth/test_mistakes.py::test_a_mistake_is_found_among_wrong_calls_as_well": 4,
    "truth/test_mistakes.py::test_a_mistake_is_found_with_its_severity": 3,
    "truth/test_mistakes.py::test_no_mistake_leads_to_a_wrong_change": 3,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the slow tests all but every n-th case of the rules that have very many."""
    here = Path(__file__).parent
    counts: dict[str, int] = {}
    for item in items:
        if not item.path.is_relative_to(here) or not isinstance(item, pytest.Function):
            continue
        rule = f"{item.path.relative_to(here).as_posix()}::{item.originalname}"
        if rule in EVERY_NTH:
            counts[rule] = counts.get(rule, -1) + 1
            if counts[rule] % EVERY_NTH[rule]:
                item.add_marker(pytest.mark.slow)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to make what is kept in the repository anew."""
    parser.addoption(
        "--update-picture", action="store_true", help="make the README's picture of a dry run anew"
    )


@pytest.fixture(scope="session")
def cdr_samples() -> Path:
    """Return the folder of real exports, which not every checkout has beside it."""
    folder = Path(__file__).parents[2] / "shared" / "cdr_samples"
    if not folder.is_dir():
        pytest.skip(f"the real CDR exports are not in {folder}")
    return folder
