"""Windows: cut, widened, halved, and believed only where the answer proves itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.api.check import probe_windows
from sippet_reconcile.api.documents import calls_frame, read_page, with_source
from sippet_reconcile.api.fetch import count_conflicts, one_row_per_id
from sippet_reconcile.api.windows import Window, WindowQueue, as_period
from sippet_reconcile.errors import InputError, RejectedError, TransientApiError, UnexpectedResponseError

START = datetime(2026, 10, 1, tzinfo=UTC)
OCTOBER = sr.Period.month("2026-10")
Make = Callable[..., sr.Client]


@settings(max_examples=50, deadline=None)
@given(
    hours=st.floats(0.001, 2000),
    costs=st.lists(
        st.tuples(st.sampled_from(["settle", "split", "back"]), st.integers(0, 20_000), st.floats(0, 20)),
        max_size=60,
    ),
)
def test_windows_cover_the_span_once_whatever_they_cost(
    hours: float, costs: list[tuple[str, int, float]]
) -> None:
    end = START + timedelta(hours=hours)
    queue = WindowQueue(START, end, unstarted=True)
    settled: list[Window] = []
    script = iter(costs)
    while (window := queue.take()) is not None:
        what, n_rows, seconds = next(script, ("settle", 10, 0.1))
        if what == "back":
            queue.put_back(window)
        elif what == "settle" or not queue.split(window):
            queue.settle(window, n_rows=n_rows, n_bytes=n_rows * 500, seconds=seconds)
            settled.append(window)
    assert [window for window in settled if window.is_unstarted] == [Window(None, None)]
    spans = sorted((w.start, w.end) for w in settled if w.start is not None and w.end is not None)
    assert spans[0][0] == START
    assert spans[-1][1] >= end
    assert spans[-1][1] - end < timedelta(seconds=1)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert all(at.microsecond == 0 for span in spans for at in span)
    assert queue.done == queue.total


def test_windows_widen_while_answers_are_easy_and_narrow_when_they_are_not() -> None:
    queue = WindowQueue(START, START + timedelta(days=365), unstarted=False)
    widths = []
    for n_rows in [10, 10, 10, 50_000, 10]:
        window = queue.take()
        assert window is not None
        widths.append(window.width / timedelta(hours=1))
        queue.settle(window, n_rows=n_rows, n_bytes=0, seconds=0.1)
    assert widths == [2, 4, 8, 16, 8]


def test_a_second_cannot_be_halved() -> None:
    assert Window(START, START + timedelta(seconds=1)).halves() is None
    assert Window(None, None).halves() is None
    assert Window(START, None).halves() is None


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2026-10", None, "2026-09-30T23:00", "2026-11-01T00:00"),
        (sr.Period.month("2026-10"), None, "2026-10-01T00:00", "2026-11-01T00:00"),
        ("2026-10-25", "2026-10-26", "2026-10-24T23:00", "2026-10-26T00:00"),
        (
            datetime.fromisoformat("2026-07-01"),
            pd.Timestamp("2026-07-02T00:00Z"),
            "2026-06-30T23:00",
            "2026-07-02T00:00",
        ),
        ("2026-07-01T00:00+02:00", "2026-07-02", "2026-06-30T22:00", "2026-07-01T23:00"),
        (date(2026, 1, 1), date(2026, 1, 2), "2026-01-01T00:00", "2026-01-02T00:00"),
    ],
)
def test_a_period_is_meant_in_the_zone_that_is_named(start: Any, end: Any, first: str, last: str) -> None:
    period = as_period(start, end, timezone="Europe/London")
    assert (f"{period.start:%Y-%m-%dT%H:%M}", f"{period.end:%Y-%m-%dT%H:%M}") == (first, last)


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("2026-10-25T01:30", "2026-10-26", "not one instant in Europe/London"),  # it comes twice
        ("2026-03-29T01:30", "2026-03-30", "not one instant in Europe/London"),  # it never comes
        ("soon", "2026-03-30", "not an instant"),
        ("01/10/2026", "2026-10-31", "not an instant"),  # the first of October, or the tenth of January
        ("2026-10", "2026-12", "not an instant"),  # with December, or without
        (None, "2026-03-30", "not an instant"),
        (pd.NaT, "2026-03-30", "not an instant"),
        (5, "2026-03-30", "not an instant"),
        ("2026-10-02", "2026-10-01", "not after its start"),
        ("October", None, "YYYY-MM"),
        (START, None, "the end is missing"),
        (OCTOBER, "2026-11-01", "has its own end"),
    ],
)
def test_what_is_no_period_is_refused(start: Any, end: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        as_period(start, end, timezone="Europe/London")


def test_the_margin_and_the_never_started_are_read_too(client_of: Make, make_index: Any, api: Any) -> None:
    inside = [api.resource(n, f"2026-10-{n:02}T12:00:00.000000Z") for n in range(1, 32)]
    edges = [
        api.resource(101, "2026-09-30T23:00:00.000000Z"),
        api.resource(102, "2026-11-01T00:59:59.999999Z"),
    ]
    beyond = [
        api.resource(201, "2026-09-30T22:59:59.999999Z"),
        api.resource(202, "2026-11-01T01:00:00.000000Z"),
    ]
    index = make_index([*beyond, *reversed(inside), *edges, api.resource(300, None)])
    calls = client_of(index).fetch_calls(OCTOBER, progress=False)
    ids = [api.call_id(n) for n in (101, *range(1, 32), 102, 300)]
    assert calls["id"].tolist() == ids
    assert calls["api_url"].unique().tolist() == [api.url]
    assert calls["fetched_at"].unique().tolist() == [pd.Timestamp(api.now)]
    without = client_of(index).fetch_calls(OCTOBER, unstarted=False, progress=False)
    assert without["id"].tolist() == ids[:-1]


def test_filters_go_with_every_window(client_of: Make, make_index: Any, api: Any) -> None:
    index = make_index([api.resource(1), api.resource(2, None)])
    client_of(index).fetch_calls(
        OCTOBER, filters={"direction": "inbound", "status": ["completed"]}, progress=False
    )
    assert len(index.requests) > 3
    assert all("filter%5Bdirection%5D%5Beq%5D=inbound" in target for target in index.targets())
    assert all(target.endswith("&sort=started_at,id") for target in index.targets())


def test_a_filter_is_checked_before_anything_is_sent(client_of: Make, make_index: Any) -> None:
    index = make_index([])
    with pytest.raises(InputError, match="no attribute"):
        client_of(index).fetch_calls(OCTOBER, filters={"stauts": "x"}, progress=False)
    assert index.requests == []


def test_a_filter_that_did_not_take_effect_is_noticed(client_of: Make, api: Any) -> None:
    def everything(_: httpx.Request) -> httpx.Response:
        return api.answer(api.document(api.resource(1, "2020-01-01T00:00:00Z"), api.resource(2)))

    with pytest.raises(UnexpectedResponseError, match="did not take effect"):
        client_of(everything).fetch_calls(OCTOBER, unstarted=False, progress=False)


@pytest.mark.parametrize("filters", [{"direction": "outbound"}, {"status": ["busy"]}, {"sip_username": "x"}, {"duration_seconds": 5}, {"call_source": None}])  # fmt: skip
def test_rows_that_do_not_fit_the_callers_filter_are_noticed(
    client_of: Make, make_index: Any, api: Any, filters: Any
) -> None:
    # This index knows nothing of filters but windows.
    with pytest.raises(UnexpectedResponseError, match=f"do not fit the filter on {next(iter(filters))}"):
        client_of(make_index([api.resource(1)])).fetch_calls(OCTOBER, filters=filters, progress=False)


def test_rows_that_fit_the_filter_are_kept_whatever_its_form(
    client_of: Make, make_index: Any, api: Any
) -> None:
    filters = {
        "direction": " inbound ",
        "sip_username": None,
        "duration_seconds": 60,
        "call_uuid": {"eq": "uuid-1"},
    }
    calls = client_of(make_index([api.resource(1)])).fetch_calls(OCTOBER, filters=filters, progress=False)
    assert len(calls) == 1


def test_a_started_call_among_the_never_started_is_noticed(client_of: Make, api: Any) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        is_null = b"is_nil" in request.url.query
        return api.answer(api.document(api.resource(1)) if is_null else api.document())

    with pytest.raises(UnexpectedResponseError, match="calls without started_at"):
        client_of(handler).fetch_calls(OCTOBER, progress=False)


@pytest.mark.parametrize("limit", [10, 20, 25, 64, 100])
def test_a_server_that_cuts_its_answers_in_silence_is_seen_through(
    client_of: Make, make_index: Any, api: Any, limit: int
) -> None:
    at = datetime(2026, 10, 5, tzinfo=UTC)
    calls = [
        api.resource(n, f"{at + timedelta(seconds=7 * n):%Y-%m-%dT%H:%M:%S.000000Z}") for n in range(1, 481)
    ]
    found = client_of(make_index(calls, limit=limit)).fetch_calls(OCTOBER, progress=False)
    assert found["id"].tolist() == [one["id"] for one in calls]


def test_a_cut_within_one_second_cannot_be_seen_through_and_is_told(
    client_of: Make, make_index: Any, api: Any
) -> None:
    first = [api.resource(n, "2026-10-05T00:00:00.000000Z") for n in range(1, 20)]
    same = [api.resource(n, "2026-10-05T00:00:09.000000Z") for n in range(20, 120)]
    with pytest.raises(UnexpectedResponseError, match="at most 25 calls at once"):
        client_of(make_index([*first, *same], limit=25)).fetch_calls(OCTOBER, progress=False)


@pytest.mark.parametrize(
    ("started_at", "told"),
    [("2026-10-05T00:00:09.000000Z", "start in one second"), (None, "have no start")],
    ids=["one-second", "never-started"],
)
def test_a_cut_where_no_later_start_can_be_asked_for_is_told(
    client_of: Make, make_index: Any, api: Any, started_at: str | None, told: str
) -> None:
    calls = [api.resource(n, started_at) for n in range(1, 66)]
    with pytest.raises(UnexpectedResponseError, match=f"at most 64 calls at once.*{told}"):
        client_of(make_index(calls, limit=64)).fetch_calls(OCTOBER, progress=False)


@pytest.mark.parametrize("started_at", ["2026-10-05T00:00:09.000000Z", None], ids=["one-second", "never"])
def test_a_round_number_of_calls_that_is_all_there_is_no_cut(
    client_of: Make, make_index: Any, api: Any, started_at: str | None
) -> None:
    calls = [api.resource(n, started_at) for n in range(1, 51)]
    found = client_of(make_index(calls)).fetch_calls(OCTOBER, progress=False)
    assert sorted(found["id"]) == sorted(one["id"] for one in calls)


def test_a_call_made_while_a_round_number_is_looked_into_is_no_cut(
    client_of: Make, make_index: Any, api: Any
) -> None:
    index = make_index([api.resource(n, None) for n in range(1, 51)])

    def another(request: httpx.Request) -> None:
        if "not_eq" in str(request.url):
            index.resources.append(api.resource(51, None))

    index.refuse = another
    assert len(client_of(index).fetch_calls(OCTOBER, progress=False)) == 51


def test_a_cut_is_found_under_a_filter_of_the_callers_own(client_of: Make, make_index: Any, api: Any) -> None:
    index = make_index([api.resource(n, None) for n in range(1, 40)], limit=25)
    with pytest.raises(UnexpectedResponseError, match="at most 25 calls at once"):
        client_of(index).fetch_calls(OCTOBER, filters={"status": "completed"}, progress=False)
    assert any(
        "filter%5Band%5D%5B0%5D%5Band%5D%5B1%5D%5Bid%5D%5Bnot_eq%5D" in target for target in index.targets()
    )


def test_further_pages_are_followed_on_the_own_host_only(client_of: Make, api: Any) -> None:
    hosts = []

    def handler(request: httpx.Request) -> httpx.Response:
        hosts.append((request.url.scheme, request.url.host))
        query = request.url.query.decode()
        if "page%5Bafter%5D=b" in query:
            return api.answer(
                api.document(api.resource(2, "2026-10-05T09:20:00Z"), meta={"page": {"total": 2}})
            )
        if "10-05T08" in query:
            links = {"next": "http://api.example.com/api/calls?" + query + "&page%5Bafter%5D=b"}
            return api.answer(
                api.document(
                    api.resource(1, "2026-10-05T09:00:00Z"), links=links, meta={"page": {"total": 2}}
                )
            )
        return api.answer(api.document())

    calls = client_of(handler).fetch_calls("2026-10-05T09:00Z", "2026-10-05T09:30Z", progress=False)
    assert set(hosts) == {("https", "api.example.com")}
    assert calls["id"].tolist() == [api.call_id(1), api.call_id(2)]


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("https://evil.example/api/calls?x=1", "another host \\('evil.example'\\)"),
        ("https://api.example.com/api/users?x=1", "not one of the calls"),
    ],
)
def test_a_link_that_leads_elsewhere_ends_the_fetch(client_of: Make, api: Any, link: str, told: str) -> None:
    hosts = set()

    def handler(request: httpx.Request) -> httpx.Response:
        hosts.add(request.url.host)
        if "is_nil" in request.url.query.decode():
            return api.answer(api.document(api.resource(1, None), links={"next": link}))
        return api.answer(api.document())

    with pytest.raises(UnexpectedResponseError, match=told):
        client_of(handler).fetch_calls(OCTOBER, progress=False)
    assert hosts == {"api.example.com"}


def test_pages_that_lead_in_a_circle_end_the_fetch(client_of: Make, api: Any) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if "is_nil" in request.url.query.decode():
            link = "/api/calls?filter%5Bstarted_at%5D%5Bis_nil%5D=true&page%5Boffset%5D=1"
            return api.answer(api.document(api.resource(1, None), links={"next": link}))
        return api.answer(api.document())

    with pytest.raises(UnexpectedResponseError, match="back to one that was read"):
        client_of(handler).fetch_calls(OCTOBER, progress=False)


def test_a_page_that_is_not_counted_proves_nothing(client_of: Make, api: Any) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        return api.answer(api.document(meta={"page": {"limit": 25}}))

    with pytest.raises(UnexpectedResponseError, match="proves nothing"):
        client_of(handler).fetch_calls(OCTOBER, progress=False)


def test_fewer_rows_than_the_server_counts_make_the_window_smaller(
    client_of: Make, make_index: Any, api: Any
) -> None:
    calls = [api.resource(n, f"2026-10-05T{n:02}:30:00.000000Z") for n in range(24)]
    index = make_index(calls)

    def capped(request: httpx.Request) -> httpx.Response:
        """Count all, hand out three: the truncation of a page that is larger than its maximum."""
        found = json.loads(index(request).content)["data"]
        return api.answer(api.document(*found[:3], meta={"page": {"limit": 100, "total": len(found)}}))

    found = client_of(capped).fetch_calls(OCTOBER, unstarted=False, progress=False)
    assert found["id"].tolist() == [one["id"] for one in calls]


def test_the_probe_looks_back_without_asking_for_anything_twice() -> None:
    now = datetime(2026, 10, 1, 12, 0, 0, 5, tzinfo=UTC)
    windows = [window for window in probe_windows(now) if not window.is_unstarted]
    spans = sorted(windows, key=lambda w: w.start or datetime.min.replace(tzinfo=UTC))
    assert spans[0].start is None
    assert spans[-1].end is None
    assert all(before.end == after.start for before, after in pairwise(spans))
    assert len(probe_windows(now)) == len(windows) + 1


def test_an_empty_period_is_empty_where_other_calls_are_visible(
    client_of: Make, make_index: Any, api: Any
) -> None:
    index = make_index([api.resource(1, "2026-11-02T11:30:00.000000Z")])
    calls = client_of(index).fetch_calls(OCTOBER, progress=False)
    assert calls.empty
    assert {name: str(dtype) for name, dtype in calls.dtypes.items()} == sr.schema.CALLS.dtypes  # type: ignore[attr-defined]


def test_where_nothing_at_all_is_visible_nothing_is_concluded(client_of: Make, make_index: Any) -> None:
    with pytest.raises(UnexpectedResponseError, match="no call at all is visible with this token"):
        client_of(make_index([])).fetch_calls(OCTOBER, progress=False)


@pytest.mark.parametrize(("status", "body"), [(401, b'{"error":"Unauthorized"}'), (403, b'{"errors":[{"code":"forbidden","detail":"forbidden"}]}')])  # fmt: skip
def test_a_refused_token_is_not_read_as_no_calls(
    client_of: Make, make_index: Any, api: Any, status: int, body: bytes
) -> None:
    index = make_index([], refuse=lambda _: api.answer(body, status, x_request_id="req-1"))
    with pytest.raises(RejectedError, match="Whether there are calls is not known") as caught:
        client_of(index).fetch_calls(OCTOBER, progress=False)
    assert (caught.value.status, caught.value.request_id, len(caught.value.problems)) == (status, "req-1", 1)


def test_a_window_that_times_out_is_halved(client_of: Make, make_index: Any, api: Any) -> None:
    calls = [api.resource(n, f"2026-10-05T10:{n:02}:00.000000Z") for n in range(60)]
    index = make_index(calls)

    def slow(request: httpx.Request) -> httpx.Response:
        response = index(request)
        if response.content.count(b'"type": "Call"') > 8:
            message = "timed out"
            raise httpx.ReadTimeout(message)
        return response

    found = client_of(slow).fetch_calls("2026-10-05T10:00Z", "2026-10-05T11:00Z", progress=False)
    assert found["id"].tolist() == [one["id"] for one in calls]


def test_slow_windows_are_halved_as_often_as_it_takes_once_the_server_has_answered(
    client_of: Make, make_index: Any, api: Any
) -> None:
    calls = [api.resource(n, f"2026-10-05T10:00:{n % 60:02}.000000Z") for n in range(60)]
    index = make_index([*calls, api.resource(99, None)])

    def slow(request: httpx.Request) -> httpx.Response:
        """Answer 504 wherever more than a tenth of the calls, which lie within one minute, are asked for."""
        response = index(request)
        is_slow = response.content.count(b'"type": "Call"') > 6
        return httpx.Response(504) if is_slow else response

    client = client_of(slow)
    found = client.fetch_calls("2026-10-01T10:00Z", "2026-10-05T11:00Z", progress=False)
    assert sorted(found["id"]) == sorted(one["id"] for one in index.resources)


def test_an_answer_that_is_too_large_is_halved(client_of: Make, make_index: Any, api: Any) -> None:
    calls = [api.resource(n, f"2026-10-05T10:{n:02}:00.000000Z") for n in range(60)]
    client = client_of(make_index(calls))
    client._wire._max_bytes = 3_000
    found = client.fetch_calls("2026-10-05T10:00Z", "2026-10-05T11:00Z", progress=False)
    assert found["id"].tolist() == [one["id"] for one in calls]


def test_throttling_pauses_and_then_the_window_is_read(
    client_of: Make, make_index: Any, api: Any, virtual_time: Any
) -> None:
    refused: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response | None:
        target = str(request.url)
        if len(refused) < 3 and target not in refused:
            refused.append(target)
            return httpx.Response(429, headers={"retry-after": "7"})
        return None

    index = make_index([api.resource(1)], refuse=refuse)
    found = client_of(index).fetch_calls(OCTOBER, progress=False)
    assert len(found) == 1
    assert len(refused) == 3
    assert sum(virtual_time.slept) >= 7


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_stays_down_ends_the_fetch_after_a_few_attempts(
    client_of: Make, make_index: Any, status: int
) -> None:
    index = make_index([], refuse=lambda _: httpx.Response(status, text="down"))
    with pytest.raises(TransientApiError, match=f"failed with {status}: down .*gave up after") as caught:
        client_of(index).fetch_calls(OCTOBER, progress=False)
    assert caught.value.status == status
    assert len(index.requests) < 400


def test_what_a_reporter_hears_ends_at_the_whole(client_of: Make, make_index: Any, api: Any) -> None:
    heard: list[tuple[int, int, str]] = []
    client_of(make_index([api.resource(1)])).fetch_calls(OCTOBER, progress=lambda *said: heard.append(said))
    assert heard[-1] == (746, 746, "fetching calls (1)")


def test_what_a_reporter_raises_ends_the_fetch(client_of: Make, make_index: Any) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client_of(make_index([])).fetch_calls(OCTOBER, progress=stop)


def test_a_call_that_moved_between_two_windows_is_there_once_as_read_last(api: Any) -> None:
    def read(second: int, *resources: Any) -> Any:
        at = datetime(2026, 11, 1, 12, 0, second, tzinfo=UTC)
        return with_source(read_page(api.document(*resources)).rows, api.url, at)

    early = read(1, api.resource(1, None, status="initiated"), api.resource(2, "2026-10-05T11:00:00Z"))
    late = read(
        2, api.resource(1, "2026-10-05T10:00:00Z", status="answered"), api.resource(2, "2026-10-05T11:00:00Z")
    )
    for tables in ([early, late], [late, early]):
        calls = calls_frame(tables)
        assert count_conflicts(calls) == 0
        once = one_row_per_id(calls)
        assert once["id"].tolist() == [api.call_id(1), api.call_id(2)]
        assert once["status"].tolist() == ["answered", "completed"]
        assert once["fetched_at"].dt.second.tolist() == [2, 2]
        assert once.index.tolist() == [0, 1]


def test_a_call_twice_in_one_answer_with_two_faces_is_not_believed(client_of: Make, api: Any) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if "is_nil" in request.url.query.decode():
            return api.answer(api.document(api.resource(1, None), api.resource(1, None, status="busy")))
        return api.answer(api.document())

    with pytest.raises(UnexpectedResponseError, match="twice in one answer"):
        client_of(handler).fetch_calls(OCTOBER, progress=False)
