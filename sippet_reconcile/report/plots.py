"""Draw a chart of a report with matplotlib, for people who put it into a paper of their own.

Input is a `Chart`, the same object that a report draws as SVG, output are matplotlib's
axes. Matplotlib is an extra and is imported when the first picture is drawn. No window
is opened and no setting is changed, and no label is ever taken for a formula.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from itertools import groupby, pairwise
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile._display import mask_text, shortened, visible
from sippet_reconcile.errors import InputError
from sippet_reconcile.report.charts import BarChart, Chart, ColumnChart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.text import Text

__all__ = [
    "AS_WIDE_AS_A_REPORT",
    "BLUE",
    "SMALL_PT",
    "axes_for",
    "count_whole",
    "draw",
    "say_nothing",
    "set_label",
    "set_ticks",
    "set_title",
    "width_pt",
    "written",
]

BLUE: Final = "#4a87c7"
_COLOURS: Final = {"pos": BLUE, "neg": "#c46a35", "quiet": "#9a9a9a"}
"""The colours of the charts in a notebook, which stand out on light and dark alike."""

_WIDTH: Final = 8.0  # inches
_HEIGHT: Final = 3.4
_ROW: Final = 0.3
_EDGES: Final = 1.1  # inches above and below horizontal bars
_LONGEST_LABEL: Final = 48
AS_WIDE_AS_A_REPORT: Final = 420  # points from which on there is as much room as in a report
SMALL_PT: Final = 8
_LEAST_PT: Final = 5
_LABEL_PT: Final = 10
_TITLE_PT: Final = 11
_NUMBER_PT: Final = 60  # from one number along an axis to the next, at least
_MOST_NUMBERS: Final = 8
_MARGIN_PT: Final = 72  # that labels have beside axes; longer ones take from them
_OF_A_ROW: Final = 0.62  # of the height of a row is its label
_LETTER: Final = 0.6  # width of a letter by the size of its font, at most
_NARROW_LETTER: Final = 0.5  # and by and large, figures and hyphens among them
_FEWEST: Final = 20  # letters to a line of a title
_MOST_ROOM: Final = 0.6  # of the axes' width for the numbers beside bars
_MISSING: Final = (
    'this picture needs matplotlib, which is not installed: pip install "sippet-reconcile[plots]"'
)


def draw(
    chart: Chart, ax: Axes | None = None, *, x_label: str = "", y_label: str = "", empty: str = ""
) -> Axes:
    """Draw a chart and return its axes.

    Parameters
    ----------
    chart
        Bars and their texts, as a report has them.
    ax
        Axes to draw into; nothing else of their figure is touched. New ones where not
        given, which a notebook shows by itself.
    x_label, y_label
        What stands along the axes, with the unit.
    empty
        What the axes say where the chart has no bar.

    Returns
    -------
    matplotlib.axes.Axes
        ``ax.figure.savefig("chart.png")`` writes the picture.

    Raises
    ------
    InputError
        If matplotlib is not installed.

    Examples
    --------
    >>> from sippet_reconcile.report.charts import Bar
    >>> ax = draw(BarChart("Calls by cause", (Bar("zero", 4, "4 calls"),)), x_label="calls")
    >>> ax.get_title(), [int(bar.get_width()) for bar in ax.patches]
    ('Calls by cause', [4])
    """
    is_horizontal = isinstance(chart, BarChart)
    n_groups = len([group for group, _ in groupby(bar.group for bar in chart.bars) if group])
    height = _EDGES + _ROW * max(len(chart.bars) + n_groups, 3) if is_horizontal else _HEIGHT
    ax = axes_for(ax, height=height)
    set_title(ax, chart.title)
    if not any(bar.value for bar in chart.bars):
        say_nothing(ax, empty or "nothing to show")
    elif isinstance(chart, BarChart):
        _draw_bars(chart, ax)
    else:
        _draw_columns(chart, ax)
    set_label(ax.set_xlabel, x_label)
    set_label(ax.set_ylabel, y_label)
    return ax


def axes_for(ax: Axes | None, *, height: float = _HEIGHT) -> Axes:
    """Return the axes that were handed in, or new ones of a height in inches.

    In a notebook new axes belong to pyplot, which shows and then closes them at the end
    of the cell; elsewhere they have a figure of their own, which nobody has to close.

    Raises
    ------
    InputError
        If matplotlib is not installed, or `ax` is no axes.
    """
    try:
        from matplotlib.axes import Axes  # noqa: PLC0415 - an extra
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as exc:
        raise InputError(_MISSING) from exc
    if ax is not None:
        if not isinstance(ax, Axes):
            msg = f"ax is {type(ax).__name__}, not matplotlib axes, such as plt.subplots()[1]"
            raise InputError(msg)
        return ax
    if _is_in_kernel():
        from matplotlib import pyplot  # noqa: PLC0415

        return pyplot.figure(figsize=(_WIDTH, height), layout="constrained").add_subplot()
    return Figure(figsize=(_WIDTH, height), layout="constrained").add_subplot()


def _is_in_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def say_nothing(ax: Axes, text: str) -> None:
    """Let axes say that there is nothing to draw."""
    ax.set_xticks([])
    ax.set_yticks([])
    _plain(ax.text(0.5, 0.5, written(text), transform=ax.transAxes, ha="center", va="center"))


def set_title(ax: Axes, text: str, *, pad: float | None = None) -> None:
    """Write the title, on as many lines as it takes, some points above the axes."""
    letters = max(int(width_pt(ax) / (_TITLE_PT * _LETTER)), _FEWEST)
    _plain(ax.set_title(fill(written(text), letters), fontsize=_TITLE_PT, pad=pad))


def set_label(setter: Callable[[str], Text], text: str) -> None:
    """Write what stands along an axis, if anything does."""
    if text:
        _plain(setter(written(text)))


def set_ticks(setter: Callable[..., Any], places: Sequence[float], labels: Sequence[str]) -> None:
    """Write labels along an axis; `setter` is ``ax.set_xticks`` or ``ax.set_yticks``."""
    told = [shortened(written(text), _LONGEST_LABEL) for text in labels]
    setter(places, told, parse_math=False, usetex=False)


def _plain(text: Text) -> Text:
    """Have a text drawn as it is written: two dollar signs are no formula."""
    text.set_parse_math(False)
    text.set_usetex(False)
    return text


def written(text: str) -> str:
    r"""Return a text as it can be drawn: on one line, with what steers or has no letter in the font written out.

    Examples
    --------
    >>> written("a\x1b[1m\nb"), written("Zoë: −5 s"), written("漢")
    ('a\\u001b[1m\\nb', 'Zoë: −5 s', '\\u6f22')
    """
    known = _letters()
    one_line = visible(mask_text(text)).replace("\n", "\\n").replace("\t", " ")
    return "".join(
        sign if ord(sign) in known else sign.encode("unicode_escape").decode("ascii") for sign in one_line
    )


def _letters() -> frozenset[int]:
    """Return what the fonts that matplotlib is set to can draw; a letter without a shape would warn and be a box."""
    from matplotlib.font_manager import FontProperties, findfont  # noqa: PLC0415 - an extra

    known: frozenset[int] = frozenset()
    for family in FontProperties().get_family():
        try:
            path = findfont(FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:  # a family that this machine does not have
            continue
        known |= _letters_of(str(path))
    return known or frozenset(range(0x20, 0x7F))


@lru_cache(maxsize=16)
def _letters_of(font: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font  # noqa: PLC0415 - an extra

    return frozenset(get_font(font).get_charmap())


def _tone(value: float, *, is_quiet: bool = False) -> str:
    return _COLOURS["quiet" if is_quiet else "neg" if value < 0 else "pos"]


def _draw_bars(chart: BarChart, ax: Axes) -> None:
    """Draw horizontal bars from the top, a heading where the group changes, their numbers at their ends."""
    places: list[float] = []
    headings: dict[float, str] = {}
    place = 0.0
    for group, bars in groupby(chart.bars, key=lambda bar: bar.group):
        if group:
            headings[place] = written(group)
            place += 1
        for _ in bars:
            places.append(place)
            place += 1
    size_pt = min(max(_height_pt(ax) / place * _OF_A_ROW, _LEAST_PT), _LABEL_PT)
    for at, heading in headings.items():
        across = ax.get_yaxis_transform()
        _plain(ax.text(0.01, at, heading, transform=across, va="center", weight="bold", fontsize=size_pt))
    values = [bar.value for bar in chart.bars]
    drawn = ax.barh(
        places, values, height=0.7, color=[_tone(bar.value, is_quiet=bar.is_quiet) for bar in chart.bars]
    )
    texts = [written(bar.text) for bar in chart.bars]
    for text in ax.bar_label(drawn, texts, padding=4, fontsize=min(size_pt, SMALL_PT)):
        _plain(text)
    set_ticks(ax.set_yticks, places, [bar.label for bar in chart.bars])
    ax.set_ylim(place - 0.4, -0.6)
    _make_room(ax, values, texts)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0, labelsize=size_pt)
    if min(values) < 0:
        ax.spines["left"].set_visible(False)
        ax.axvline(0, color=ax.spines["left"].get_edgecolor(), linewidth=0.8)
    count_whole(ax.xaxis, values, most=max(int(width_pt(ax) / _NUMBER_PT), 2))


def _make_room(ax: Axes, values: Sequence[float], texts: Sequence[str]) -> None:
    """Widen the axis so that the numbers beside the bars fit into it."""
    longest = max(map(len, texts)) * SMALL_PT * _LETTER + 10
    labels_pt = max(len(label.get_text()) for label in ax.get_yticklabels()) * _LABEL_PT * _LETTER
    room = min(longest / max(width_pt(ax) - max(labels_pt - _MARGIN_PT, 0), 1.0), _MOST_ROOM)
    low, high = min([0.0, *values]), max([0.0, *values])
    if low < 0:
        room = min(room, _MOST_ROOM / 2)
    beside = (high - low) * room / (1 - room * (1 + (low < 0)))
    ax.set_xlim(low - beside if low < 0 else 0, high + beside)


def _draw_columns(chart: ColumnChart, ax: Axes) -> None:
    """Draw columns on one floor: what is taken away is as tall as what is added, in the colour of its own."""
    heights = [abs(bar.value) for bar in chart.bars]
    tones = [_tone(bar.value, is_quiet=bar.is_quiet) for bar in chart.bars]
    drawn = ax.bar(range(len(heights)), heights, width=0.72, color=tones)
    column_pt = width_pt(ax) / len(heights)
    is_wide = width_pt(ax) >= AS_WIDE_AS_A_REPORT
    texts = [written(bar.text) for bar in chart.bars]
    has_room = chart.shown_values if is_wide or _fits(texts, column_pt) else ()
    above = [text if place in has_room else "" for place, text in enumerate(texts)]
    for text in ax.bar_label(drawn, above, padding=2, fontsize=SMALL_PT):
        _plain(text)
    places = list(chart.shown_ticks)
    if all(chart.bars[place].tick.isdigit() for place in places):
        while len(places) > 1 and not _fits(["00 "], column_pt * (places[1] - places[0])):
            places = places[::2]
    labels = [chart.bars[place].tick or chart.bars[place].label for place in places]
    set_ticks(ax.set_xticks, places, labels)
    apart_pt = column_pt * min([b - a for a, b in pairwise(places)], default=1)
    is_turned = not _fits([written(text) for text in labels], apart_pt)
    ax.tick_params(axis="x", length=0, labelsize=SMALL_PT)
    if is_turned:
        for label in ax.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    ax.margins(x=0.01, y=0.12)
    ax.spines[["top", "right"]].set_visible(False)
    count_whole(ax.yaxis, heights)


def width_pt(ax: Axes) -> float:
    """Return how wide axes are, in points."""
    return ax.get_window_extent().width * 72 / ax.get_figure(root=True).dpi  # type: ignore[union-attr]


def _height_pt(ax: Axes) -> float:
    return ax.get_window_extent().height * 72 / ax.get_figure(root=True).dpi  # type: ignore[union-attr]


def _fits(texts: Sequence[str], room_pt: float) -> bool:
    """Tell whether texts beside each other have room."""
    return max(map(len, texts), default=0) * SMALL_PT * _NARROW_LETTER <= room_pt


def count_whole(axis: Axis, values: Sequence[float], *, most: int = _MOST_NUMBERS) -> None:
    """Let an axis of counts have no half calls, and thousands be told apart."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter  # noqa: PLC0415 - an extra

    if all(float(value).is_integer() for value in values):
        axis.set_major_locator(MaxNLocator(nbins=most, integer=True))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
