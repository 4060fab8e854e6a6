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
    "apply/test_approvals.py::test_one_person_cannot_be_two_however_the_name_is_typed": 2,
    "apply/test_contract.py::test_an_answer_that_is_not_what_was_sent_is_altered": 2,
    "apply/test_contract.py::test_what_was_written_in_spite_of_its_answer_is_ours_and_can_be_undone": 3,
    "apply/test_control_call.py::test_a_token_that_dies_between_re_read_and_patch_retires_nothing": 2,
    "apply/test_control_call.py::test_a_token_that_expires_after_any_request_in_any_style_is_settled_by_the_next_one": 2,
    "apply/test_drift.py::test_what_a_plan_does_not_send_may_change_without_being_drift": 3,
    "apply/test_drift.py::test_what_is_not_sent_and_changes_under_the_patch_makes_it_altered": 3,
    "apply/test_fault_matrix.py::test_each_row_of_the_fault_matrix_is_what_happens": 8,
    "apply/test_interrupts.py::test_a_part_is_in_the_log_or_not_where_ctrl_c_comes_as_it_is_flushed": 2,
    "apply/test_retries.py::test_a_fault_that_does_not_end_is_given_up_after_so_many_requests": 4,
    "apply/test_retries.py::test_a_fault_that_ends_is_outlasted_and_the_call_is_read_between": 3,
    "apply/test_retries.py::test_a_read_back_that_fails_is_itself_tried_again": 4,
    "apply/test_retries.py::test_a_read_that_never_succeeds_ends_the_run_before_anything_is_sent": 4,
    "apply/test_retries.py::test_every_other_answer_comes_to_something_the_log_has_a_word_for": 4,
    "apply/test_retries.py::test_what_was_written_and_not_confirmed_is_read_back_and_never_sent_again": 6,
    "apply/test_revert.py::test_a_patch_that_is_carried_out_after_another_was_refused_is_ours_and_can_be_undone": 2,
    "audit/test_chain.py::test_a_value_that_was_taken_away_is_named_with_its_record": 2,
    "audit/test_chain.py::test_an_edit_of_any_column_is_named_with_its_record": 2,
    "audit/test_disk.py::test_a_log_that_takes_no_more_stops_the_run_ahead_of_the_next_request": 8,
    "browser/test_every_report.py::test_a_narrow_window_scrolls_no_page_sideways": 4,
    "browser/test_every_report.py::test_a_report_asks_for_nothing_and_no_value_becomes_more_than_text": 4,
    "browser/test_every_report.py::test_a_report_is_built_for_whoever_does_not_see_it": 4,
    "browser/test_every_report.py::test_text_stands_out_from_what_lies_under_it_in_light_and_dark": 4,
    "browser/test_paper_and_keyboard.py::test_the_tab_key_reaches_everything_in_order_and_shows_where_it_is": 2,
    "cdr/test_contract.py::test_a_last_row_cut_anywhere_has_a_problem_or_is_read_rightly": 2,
    "cdr/test_describe.py::test_a_column_without_a_single_value_still_adds_up": 3,
    "cdr/test_mutations.py::test_a_damaged_invented_export_is_read_honestly_or_refused": 8,
    "cdr/test_mutations.py::test_a_damaged_real_export_is_read_honestly_or_refused": 8,
    "month/test_reconcile_month.py::test_what_was_damaged_is_made_again": 3,
    "plan/test_accepted.py::test_calls_over_two_switches_with_two_clocks_lead_to_no_wrong_change": 4,
    "plan/test_review_money.py::test_a_changed_cell_of_money_is_named": 3,
    "plan/test_review_money.py::test_whatever_else_is_done_to_the_sheet_of_money_is_told": 2,
    "plan/test_reviewed.py::test_rows_columns_and_sheets_that_come_or_go_are_named": 2,
    "plan/test_storage.py::test_any_edit_is_refused": 3,
    "reconciliation/test_diagnosis_months.py::test_a_mistake_of_a_whole_file_is_found_and_nothing_else_is_accused": 3,
    "reconciliation/test_explanations_chance.py::test_a_cause_planted_alone_leads_and_no_other_takes_more_than_a_few": 4,
    "reconciliation/test_explanations_chance.py::test_of_two_that_hold_together_the_one_in_the_table_leads": 3,
    "reconciliation/test_fallback_worlds.py::test_no_pair_is_wrong_and_most_are_found": 3,
    "sandbox/test_fault_kinds.py::test_a_client_that_left_before_the_answer_leaves_no_noise": 3,
    "sandbox/test_fault_kinds.py::test_a_connection_that_the_client_closed_first_cannot_be_broken_and_need_not": 3,
    "sandbox/test_fault_kinds.py::test_a_fault_writes_and_answers_as_the_table_says": 5,
    "sandbox/test_fault_kinds.py::test_a_read_meets_what_a_read_can_meet": 5,
    "scale/test_findings.py::test_each_finding_and_its_evidence_are_those_of_one_machine": 3,
    "scale/test_same_answer.py::test_ids_speak_against_pairs_of_whatever_part": 3,
    "security/test_artefacts.py::test_no_command_shows_a_token_that_a_failing_server_repeats": 2,
    "security/test_strangers.py::test_no_text_of_a_stranger_adds_an_element_or_an_attribute_to_a_page": 3,
    "truth/test_causes.py::test_a_cause_planted_alone_leads_also_where_another_would_have_left_the_same": 3,
    "truth/test_causes.py::test_nothing_else_differs_and_no_finding_speaks_up_without_a_reason": 3,
    "truth/test_causes.py::test_what_was_planted_is_named": 4,
    "truth/test_clean_months.py::test_a_clean_month_has_no_discrepancy_and_no_finding_above_info": 4,
    "truth/test_mistakes.py::test_a_mistake_is_found_among_wrong_calls_as_well": 5,
    "truth/test_mistakes.py::test_a_mistake_is_found_with_its_severity": 6,
    "truth/test_mistakes.py::test_a_mistake_raises_no_alarm_that_it_does_not_imply": 4,
    "truth/test_mistakes.py::test_no_mistake_leads_to_a_wrong_change": 6,
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
