"""What the company's calls cost, and how its months are reconciled: a rate card and a configuration."""

from __future__ import annotations

COLUMNS = (
    "prefix", "rate_per_minute", "initial_s", "increment_s", "connect_fee", "currency", "valid_from", "valid_to",
    "direction", "user", "name",
)  # fmt: skip

RATES = (
    # The company's own lines: being called costs nothing.
    ("44207946050", "0", "1", "1", "0", "GBP", "", "", "inbound", "", "Own lines, being called"),
    ("44", "0.0240", "60", "60", "0", "GBP", "", "", "", "", "United Kingdom, all other"),
    ("4420", "0.0095", "1", "1", "0", "GBP", "2026-01-01", "2026-11-01", "", "", "London"),
    ("4420", "0.0105", "1", "1", "0", "GBP", "2026-11-01", "", "", "", "London"),
    ("441632", "0.0120", "30", "6", "0", "GBP", "", "", "", "", "United Kingdom, 01632"),
    ("447700", "0.0650", "1", "1", "0.0200", "GBP", "2026-01-01", "2026-11-01", "", "", "Mobile"),
    ("447700", "0.0715", "1", "1", "0.0200", "GBP", "2026-11-01", "", "", "", "Mobile"),
    # One desk has a bundle of its own for mobiles, and no new price in November.
    ("447700", "0.0400", "60", "60", "0", "GBP", "2026-01-01", "", "outbound", "1007", "Mobile, desk 1007's bundle"),
    ("1202", "0.0180", "60", "60", "0", "USD", "", "", "", "", "Washington"),
    ("1312", "0.0180", "60", "60", "0", "USD", "", "", "", "", "Chicago"),
    ("1415", "0.0165", "6", "6", "0", "USD", "", "", "", "", "San Francisco"),
    # Nobody agreed on a price for New York (1646): calls to it stay unrated, and reports say so.
)  # fmt: skip


def rates_csv() -> str:
    """Return the rate card: one row per prefix, direction, user and validity."""
    return "".join(
        ",".join(f'"{cell}"' if "," in cell else cell for cell in row) + "\n" for row in (COLUMNS, *RATES)
    )


MONTH_TOML = """\
# How each month of this company is reconciled:
#   sippet-reconcile month 2026-10 --config month.toml
# The Call records are fetched from SIPPET_API_URL with SIPPET_API_TOKEN; neither belongs in a file like this.
# To try it: run 'sippet-reconcile sandbox' beside it for October, for November
# 'sippet-reconcile sandbox --calls november/api/calls.json', and take the first line from there.

timezone = "Europe/London"
output = "months"          # a folder for each month is made in it
rate_card = "rates.csv"

[[sources]]
# Both files for either month: the switch's file is rotated a few hours into the next one.
files = ["freeswitch/Master.csv", "november/freeswitch/Master.csv"]
timezone = "Europe/London"
country = "GB"

[rules]
duration = "billable"
internal_numbers = [
    "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1010", "1011", "1012",
]

[plan]
fields = ["duration_seconds", "ended_at", "status"]
"""
