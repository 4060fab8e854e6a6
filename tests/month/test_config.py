"""All that is wrong in a configuration is told at once, and nothing secret is ever repeated."""

from __future__ import annotations

import pytest

import sippet_reconcile as sr

SECRET = "5ecret-never-to-be-shown"  # noqa: S105 - invented


def refused(months):
    with pytest.raises(sr.InputError) as failed:
        sr.MonthConfig.from_toml(months.write())
    return str(failed.value)


def test_all_wrong_keys_and_values_are_told_at_once_with_the_nearest(months):
    months.top |= {"timezone": '"Europe/Londn"', "outputs": '"x"'}
    months.sources |= {
        "contry": '"GB"',
        "format": '"freeswich"',
        "dayfirst": '"yes"',
        "files": '["a.csv", "{mnth}.csv"]',
    }
    months.sources |= {
        "status_map": '{ BUSY = "bussy" }',
        "internal_numbers": '["2000-1000"]',
        "country": '"UK"',
    }
    months.api |= {"url": '"http://api.example.com"', "filters": "{}"}
    months.rules |= {"durations": '"total"', "settle_s": "-1"}
    months.plan |= {"fields": '["started_at"]', "accept": '["no-such"]', "max_calls": "1.5", "max_share": "2"}
    months.report |= {"rate": '"fast"', "mask": "1"}
    said = refused(months)
    for part in (
        "did you mean 'Europe/London'",
        "the file has no key 'outputs' (did you mean 'output'?)",
        "[[sources]] 1 has no key 'contry' (did you mean 'country'?)",
        "did you mean 'freeswitch'",
        "[[sources]] 1 dayfirst is 'yes'; allowed is true or false",
        "there is no placeholder '{mnth}' (did you mean '{month}'?)",
        "'bussy' is no status of a leg",
        "the range ends before it begins",
        "the United Kingdom is 'GB'",
        "[api] url: 'http://api.example.com' would send the token in the clear",
        "[api] filters: filters are for calls that are fetched",
        "[rules] no such rule: 'durations' (did you mean 'duration'?)",
        "[rules] settle_s is -1",
        "[plan] fields: it names 'started_at'",
        "[plan] accept: accept= names 'no-such'",
        "[plan] max_calls: it is 1.5",
        "[plan] max_share: it is 2",
        "[report] rate: ",
        "[report] mask is 1; allowed is true or false",
    ):
        assert part in said, part
    assert "has 19 problems" in said


def test_what_is_missing_is_told_with_what_to_write(months):
    months.config.write_text("", "utf-8")
    with pytest.raises(sr.InputError) as failed:
        sr.MonthConfig.from_toml(months.config)
    for part in ('timezone = "Europe/London"', 'output = "months"', "write a table [[sources]]"):
        assert part in str(failed.value)


@pytest.mark.parametrize(
    "name", ["token", "api_key", "API-KEY", "key", "api_token", "password", "client_secret", "Authorization"]
)
@pytest.mark.parametrize("table", ["top", "sources", "api", "rules", "plan", "report"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(months, name, table):
    getattr(months, table)[name] = f'"{SECRET}"'
    said = refused(months)
    assert SECRET not in said
    assert "set SIPPET_API_TOKEN or SIPPET_API_KEY" in said


@pytest.mark.parametrize("value", [f"Bearer {SECRET}", f"https://ana:{SECRET}@api.example.com", f"https://api.example.com?t={SECRET}"])  # fmt: skip
def test_a_secret_in_the_address_is_refused_and_not_repeated(months, value):
    months.api["url"] = f'"{value}"'
    assert SECRET not in refused(months)


def test_a_slip_in_the_name_of_a_secret_does_not_show_it(months):
    months.api["tokn"] = f'"{SECRET}"'
    said = refused(months)
    assert "'tokn'" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"timezone = ", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"a" * 1_000_001, "which no configuration does"),
        (None, "cannot be read"),
    ],
    ids=["no TOML", "no UTF-8", "too long", "a folder"],
)
def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path, body, said):
    path = tmp_path / "month.toml"
    if body is None:
        path.mkdir()
    else:
        path.write_bytes(body)
    with pytest.raises(sr.InputError, match=said):
        sr.MonthConfig.from_toml(path)


def test_rules_may_stand_in_a_file_of_their_own(months):
    text = months.write().read_text("utf-8").replace("[rules]\n", "").replace('duration = "billable"\n', "")
    months.config.write_text(f'rules = "rules.toml"\n{text}', "utf-8")
    with pytest.raises(sr.InputError, match=r"rules: there is no file .*rules\.toml"):
        sr.MonthConfig.from_toml(months.config)
    (months.folder / "rules.toml").write_text('duration = "total"\nsettle_s = 60', "utf-8")
    assert sr.MonthConfig.from_toml(months.config).rules == sr.Rules(duration="total", settle_s=60)


def test_every_missing_file_is_told_by_name_before_anything_is_made(months):
    months.sources["files"] = '["exports/{month}/*.csv", "none-{previous}.csv", "."]'
    months.api["calls"] = '"calls-{next}.json"'
    months.top["rate_card"] = '"rates-{year}.csv"'
    with pytest.raises(sr.InputError) as failed:
        months.run("2026-12")
    for part in (
        "exports/2026-12/*.csv matches no file",
        "none-2026-11.csv does not exist",
        ". is a folder",
        "calls-2027-01.json does not exist",
        "rates-2026.csv does not exist",
    ):
        assert part in str(failed.value), part
    assert not (months.folder / "months").exists()


def test_a_file_of_two_sources_is_refused(months):
    text = months.write().read_text("utf-8")
    months.config.write_text(text.replace("[api]", '[[sources]]\nfiles = "Mas*.csv"\n[api]'), "utf-8")
    with pytest.raises(sr.InputError, match=r"is named by \[\[sources\]\] 1 and 2"):
        sr.reconcile_month("2026-10", sr.MonthConfig.from_toml(months.config))


def test_a_folder_whose_name_is_a_pattern_is_no_pattern(months, tmp_path):
    odd = tmp_path / "a [1] *b"
    odd.mkdir()
    for name in ("Master.csv", "calls.json"):
        (odd / name).write_bytes((months.folder / name).read_bytes())
    months.sources["files"] = '"Mas*.csv"'
    (odd / "month.toml").write_text(months.write().read_text("utf-8"), "utf-8")
    config = sr.MonthConfig.from_toml(odd / "month.toml")
    assert sr.reconcile_month("2026-10", config, progress=False).folder == odd / "months" / "2026-10"


def test_a_configuration_shows_no_number_of_ones_own(months):
    months.sources["internal_numbers"] = '["+442079460123"]'
    assert "2079460123" not in repr(sr.MonthConfig.from_toml(months.write()))


def test_names_that_can_be_no_path_are_told_at_once(months):
    months.top["output"] = '"months/{year}"'
    months.top["rate_card"] = '"~nobody-of-that-name/rates.csv"'
    months.sources["files"] = r'"a\u0000b"'
    with pytest.raises(sr.InputError) as failed:
        sr.MonthConfig.from_toml(months.write())
    for part in (
        "has 3 problems",
        "output: 'months/{year}' has a placeholder",
        "rate_card: '~nobody-of-that-name/rates.csv' begins with a home that is not known",
        "[[sources]] 1 files: 'a\\x00b' holds a NUL",
    ):
        assert part in str(failed.value), part


def test_marks_and_line_ends_of_windows_are_no_part_of_a_configuration(months):
    body = months.write().read_bytes()
    same = sr.MonthConfig.from_toml(months.config)
    months.config.write_bytes(b"\xef\xbb\xbf" + body.replace(b"\n", b"\r\n"))
    read = sr.MonthConfig.from_toml(months.config)
    assert (read.sources, read.rules, read.output) == (same.sources, same.rules, same.output)
