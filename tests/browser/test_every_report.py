"""What holds for every report, whatever it tells: it is safe to open, and anybody can read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import sippet_reconcile as sr

KINDS = ("dry run", "hostile", "run", "verification", "reconciliation", "description", "revert")


@pytest.fixture(scope="module")
def pages(walk: Any, hostile: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write one page of each kind; a few calls look as many do."""
    folder = tmp_path_factory.mktemp("pages")
    days = sr.Period(datetime(2026, 10, 5, tzinfo=UTC), datetime(2026, 10, 7, tzinfo=UTC))
    made = {
        "dry run": walk.plan.keep(list(dict.fromkeys(walk.plan.changes["call_id"]))[:20]).dry_run(),
        "hostile": hostile.dry_run(),
        "run": walk.run,
        "verification": walk.verification,
        "reconciliation": sr.reconcile(walk.legs, walk.calls, period=days, rules=walk.rec.rules),
        "description": sr.describe_cdr(walk.legs),
        "revert": walk.undo.dry_run(),
    }
    assert tuple(made) == KINDS
    return {name: thing.to_html(folder / f"{name.replace(' ', '_')}.html") for name, thing in made.items()}


# Text that can be seen, with its colour and what lies under it, and the ratio that WCAG 2 computes of both.
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = text => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const light = rgb => { const [r, g, b] = rgb.map(c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
                         return .2126 * r + .7152 * g + .0722 * b; };
  const seen = new Map(), looked = new Set(), base = rgba(getComputedStyle(document.documentElement).backgroundColor);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, owner = node.parentElement;
    if (!node.data.trim() || owner.closest('script,style,title,desc')) continue;
    let kin = ''; for (let e = owner; e; e = e.parentElement) kin += e.tagName + '.' + (e.className.baseVal ?? e.className) + ' ';
    if (looked.has(kin) || !owner.checkVisibility({visibilityProperty: true})) continue;
    looked.add(kin);
    const style = getComputedStyle(owner), isDrawn = owner instanceof SVGElement;
    const layers = []; let opacity = 1;
    for (let e = owner; e; e = e.parentElement) {
      layers.push(rgba(getComputedStyle(e).backgroundColor)); opacity *= Number(getComputedStyle(e).opacity);
    }
    const dark = matchMedia('(prefers-color-scheme: dark)').matches;
    let under = base[3] ? base.slice(0, 3) : dark ? [18, 18, 18] : [255, 255, 255];
    layers.reverse().forEach(layer => { under = over(layer, under); });
    const ink = rgba(isDrawn ? style.fill : style.color); ink[3] *= opacity;
    const [a, b] = [light(over(ink, under)), light(under)];
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const key = [owner.tagName, owner.className.baseVal ?? owner.className, ink, under].join('|');
    if (!seen.has(key)) seen.set(key, {text: node.data.trim().slice(0, 40), on: owner.tagName + '.' + (owner.className.baseVal ?? owner.className),
      ratio: (Math.max(a, b) + .05) / (Math.min(a, b) + .05), needs: large ? 3 : 4.5});
  }
  return [...seen.values()];
}"""

# What is wrong with how a page is built, for whoever does not see it.
UNNAMED = """() => {
  const wrong = [], say = (what, e) => wrong.push(what + ': ' + e.outerHTML.slice(0, 120));
  let level = 0;
  document.querySelectorAll('h1,h2,h3,h4,h5,h6').forEach(h => {
    const now = Number(h.tagName[1]); if (now > level + 1) say('a level of headings is left out', h); level = now;
    if (!h.textContent.trim()) say('an empty heading', h);
  });
  if (document.querySelectorAll('h1').length !== 1) wrong.push('not exactly one h1');
  document.querySelectorAll('th').forEach(th => { if (!th.scope) say('a head without scope', th); });
  document.querySelectorAll('table').forEach(t => { if (!t.querySelector('th')) say('a table without heads', t); });
  document.querySelectorAll('svg').forEach(svg => {
    if (svg.closest('[aria-hidden=true]')) return;
    const by = (svg.getAttribute('aria-labelledby') || '').split(/\\s+/).map(id => document.getElementById(id));
    if (svg.getAttribute('role') !== 'img') say('a picture that is none', svg);
    if (by.length < 2 || by.some(e => !e || !e.textContent.trim())) say('a picture without title and text', svg);
  });
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) wrong.push('ids that occur twice');
  document.querySelectorAll('nav a[href^="#"]').forEach(a => {
    if (!document.getElementById(a.hash.slice(1))) say('a link to nowhere', a);
  });
  if (!document.documentElement.lang || !document.title) wrong.push('no language or no title');
  return wrong;
}"""

# Where the page as a whole is wider than the window.
TOO_WIDE = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
  [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest('.scroll') &&
    e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(e => e.outerHTML.slice(0, 100)).slice(0, 5).concat(['wider than the window'])"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_asks_for_nothing_and_no_value_becomes_more_than_text(
    kind: str, pages: dict[str, Path], hostile_values: tuple[str, ...], open_report: Callable[..., Any]
) -> None:
    page = open_report(pages[kind]).page  # which also listens: no request, no complaint, no other window
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert page.evaluate("typeof window.pwned") == "undefined"
    assert page.locator("img, iframe, object, embed, link, base, form, a[href]:not([href^='#'])").count() == 0
    inline = "[...e.attributes].some(a => a.name.startsWith('on') || a.name === 'style')"
    assert page.evaluate(f"[...document.querySelectorAll('*')].filter(e => {inline}).length") == 0
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        allowed = re.search(rf"{tag}-src ([^;]*)", policy)[1].split()
        assert len(allowed) == page.locator(tag).count(), f"a {tag} that the policy does not name"
        assert all(re.fullmatch(r"'sha256-[\w+/=]+'", one) for one in allowed)
    if kind == "hostile":
        told = page.locator("body").inner_text()
        assert [value for value in hostile_values if value not in told] == []


@pytest.mark.parametrize("kind", KINDS)
def test_text_stands_out_from_what_lies_under_it_in_light_and_dark(
    kind: str, pages: dict[str, Path], open_report: Callable[..., Any]
) -> None:
    page = open_report(pages[kind]).page
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    for button in page.get_by_role("button", name="Evidence").all()[:1]:
        button.click()
    papers = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        looks = page.evaluate(CONTRAST)
        assert len(looks) > 8
        assert [look for look in looks if look["ratio"] < look["needs"]] == [], scheme
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2, "dark is not light"


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_built_for_whoever_does_not_see_it(
    kind: str, pages: dict[str, Path], open_report: Callable[..., Any]
) -> None:
    page = open_report(pages[kind]).page
    assert page.evaluate(UNNAMED) == []
    for role in ("button", "searchbox", "combobox", "link", "checkbox", "textbox"):
        for told in re.findall(rf"- {role}\b[^\n]*", page.locator("body").aria_snapshot()):
            assert re.search(rf'- {role} "[^"]+', told), f"nameless: {told}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_window_scrolls_no_page_sideways(
    kind: str, pages: dict[str, Path], open_report: Callable[..., Any]
) -> None:
    assert open_report(pages[kind], width=360).page.evaluate(TOO_WIDE) == []


# Cells of a column that end behind the one that stays in sight.
COVERED = """(box, head) => {
  const at = [...box.querySelectorAll('thead th')].findIndex(th => th.textContent.trim() === head);
  const edge = box.querySelector('thead th[data-key]').getBoundingClientRect().left;
  const texts = [...box.querySelectorAll('tbody.group')].filter(e => e.checkVisibility()).map(e => e.rows[0].cells[at]);
  return texts.filter(cell => { const told = document.createRange(); told.selectNodeContents(cell);
    return told.getBoundingClientRect().right > edge; }).map(cell => cell.textContent);
}"""


@pytest.mark.parametrize(
    ("kind", "title"), [("dry run", "The changes"), ("reconciliation", "The differences, call by call")]
)
def test_a_window_of_an_ordinary_width_shows_the_cause_beside_each_value(
    kind: str, title: str, pages: dict[str, Path], open_report: Callable[..., Any]
) -> None:
    table = open_report(pages[kind], width=1300).table(title)
    assert "cause" in table.heads
    assert table.box.evaluate(COVERED, "cause") == []
