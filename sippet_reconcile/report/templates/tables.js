"use strict";
// Sorting, searching and paging of one table. Its bodies of class "group" are calls, whole in
// whatever is done to them; other tables have one body of rows, and each row stands alone.

// Digits within text are compared as numbers: 9 comes before 10.
const ORDER = new Intl.Collator("en", { numeric: true });
const MISSING = "\u2013";

function textOf(cell) {
  const first = cell.firstChild;
  return first ? first.data ?? first.textContent : "";
}

function plainNumber(text) {
  return text.replace(/,/g, "").replace(/\u2212/g, "-").replace(/^\+|%$/g, "");
}

function searchable(text) {
  return text.toLowerCase().replace(/\u2212/g, "-");
}

function counted(n, word) {
  return n.toLocaleString("en") + " " + word + (n === 1 ? "" : "s");
}

// What is sorted, found and hidden as one: an element with its rows.
class Block {
  constructor(element, rows, place) {
    this.element = element;
    this.rows = rows;
    this.place = place;
    this.fits = true;
  }
}

class Table {
  constructor(box) {
    this.box = box;
    this.heads = Array.from(box.querySelectorAll("thead th"));
    this.isOnce = this.heads.map((head) => head.hasAttribute("data-once"));
    this.own = this.heads.map((_, at) => at).filter((at) => !this.isOnce[at]);
    this.isNumber = this.heads.map((head) => head.classList.contains("n"));
    const groups = Array.from(box.querySelectorAll("tbody.group"));
    const body = box.querySelector("tbody");
    this.isGrouped = groups.length > 0;
    this.parent = this.isGrouped ? body.parentNode : body;
    const rows = this.isGrouped ? [] : Array.from(body.rows);
    this.total = rows.filter((row) => row.classList.contains("total"));
    this.blocks = this.isGrouped
      ? groups.map((group, at) => new Block(group, Array.from(group.rows).filter((row) => row.className !== "evidence"), at))
      : rows.filter((row) => !row.classList.contains("total")).map((row, at) => new Block(row, [row], at));
    this.step = Number(box.dataset.paged || 0) || Infinity;
    this.limit = this.step;
    this.texts = null;
    this.tools = box.querySelector(".tools");
    this.next = box.querySelector(".next");
  }

  // The text of a column in a row of a block; what is written once counts for every row.
  cell(block, row, column) {
    if (row === 0 || this.isOnce[column]) return textOf(block.rows[0].cells[column]);
    return textOf(block.rows[row].cells[this.own.indexOf(column)]);
  }

  // One text per row, all that a search may find: its cells, those of its call, the evidence.
  searchTexts() {
    if (this.texts) return this.texts;
    this.texts = this.blocks.map((block) => {
      const evidence = this.isGrouped ? block.element.querySelector(".evidence") : null;
      const proof = evidence ? "\n" + evidence.textContent : "";
      return block.rows.map((_, row) => {
        const cells = this.heads.map((_, column) => {
          const text = this.cell(block, row, column);
          return this.isNumber[column] ? text + "\n" + plainNumber(text) : text;
        });
        return searchable(cells.join("\n") + proof);
      });
    });
    return this.texts;
  }

  find() {
    const words = searchable(this.tools.querySelector("input").value).split(/\s+/).filter(Boolean);
    const picks = Array.from(this.tools.querySelectorAll("select"))
      .filter((select) => select.value)
      .map((select) => [Number(select.dataset.column), select.value.slice(1)]);
    const texts = words.length ? this.searchTexts() : null;
    this.blocks.forEach((block) => {
      block.fits = block.rows.some((_, row) =>
        words.every((word) => texts[block.place][row].includes(word)) &&
        picks.every((pick) => this.cell(block, row, pick[0]) === pick[1]));
    });
    this.limit = this.step;
    this.show();
  }

  show() {
    let found = 0, rows = 0, all = 0;
    this.blocks.forEach((block) => {
      all += block.rows.length;
      if (block.fits) {
        found += 1;
        rows += block.rows.length;
      }
      const element = block.element, isLater = block.fits && found > this.limit;
      if (element.hidden === block.fits) element.hidden = !block.fits;
      if (element.classList.contains("later") !== isLater) element.classList.toggle("later", isLater);
      if (block.fits && !isLater && this.isGrouped) addControls(this, block);
    });
    if (!this.tools) return;
    const nBlocks = this.blocks.length, row = this.box.dataset.row, group = this.box.dataset.group;
    const ofAll = (n, total, word) => n.toLocaleString("en") + " of " + counted(total, word);
    let told = this.isGrouped ? ofAll(found, nBlocks, group) + ", " + ofAll(rows, all, row) : ofAll(found, nBlocks, row);
    if (found > this.limit) told += "; the first " + this.limit.toLocaleString("en") + " are shown";
    const count = this.tools.querySelector(".count");
    if (count.textContent !== told) count.textContent = told;
    this.next.hidden = found <= this.limit;
    this.next.textContent = "Show " + Math.min(this.step, Math.max(found - this.limit, 0)).toLocaleString("en") + " more";
  }

  // A block with several values of a column stands where its first of them does.
  key(block, column, isDown) {
    const isNumber = this.isNumber[column];
    let best = null;
    for (let row = 0; row < (this.isOnce[column] ? 1 : block.rows.length); row += 1) {
      const text = this.cell(block, row, column);
      if (text === MISSING || (isNumber && text === "")) continue;
      const value = isNumber ? Number(plainNumber(text)) : text;
      if (best === null || (isDown ? this.compare(value, best) > 0 : this.compare(value, best) < 0)) best = value;
    }
    return best;
  }

  compare(a, b) {
    return typeof a === "string" ? ORDER.compare(a, b) : a - b;
  }

  // First up, then down, then as the table was made. Equal ones keep the order they have.
  sort(column) {
    const head = this.heads[column], was = head.getAttribute("aria-sort");
    this.heads.forEach((other) => other.removeAttribute("aria-sort"));
    if (was === "descending") {
      this.blocks.sort((a, b) => a.place - b.place);
    } else {
      const isDown = was === "ascending";
      head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      this.blocks.forEach((block) => { block.key = this.key(block, column, isDown); });
      this.blocks.sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
        return (isDown ? -1 : 1) * this.compare(a.key, b.key);
      });
    }
    this.parent.append(...this.blocks.map((block) => block.element), ...this.total);
    this.show();
  }

  start() {
    if (this.blocks.length > 1) {
      this.heads.forEach((head, column) => {
        const button = document.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => this.sort(column));
      });
    }
    if (this.tools) {
      this.tools.hidden = false;
      this.tools.addEventListener("input", () => this.find());
      this.tools.querySelector(".copy").addEventListener("click", () => copyTable(this));
      this.next.addEventListener("click", () => {
        const before = this.limit;
        this.limit += this.step;
        this.show();
        focusBlock(this, before);
      });
    }
    this.show();
    // What the first search needs is made ready while the reader reads.
    if (this.tools && window.requestIdleCallback) requestIdleCallback(() => this.searchTexts());
  }
}

// What was just added is where a keyboard goes on.
function focusBlock(table, at) {
  const block = table.blocks.filter((one) => one.fits)[at];
  const target = block && block.element.querySelector("button");
  if (target && table.next.hidden) target.focus({ preventScroll: true });
}

// Buttons of a call are made when it is first shown: five thousand pairs of them would be slow.
function addControls(table, block) {
  if (block.hasControls) return;
  block.hasControls = true;
  const id = block.rows[0].querySelector("th") || block.rows[0].cells[0];
  const text = textOf(id), name = document.createElement("span");
  name.className = "name";
  name.title = text;
  name.append(...id.childNodes);
  const box = document.createElement("span");
  box.className = "acts";
  name.id = "id" + (addControls.last = (addControls.last || 0) + 1);
  const button = (label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.setAttribute("aria-describedby", name.id);
    made.addEventListener("click", () => act(made));
    box.append(made);
    return made;
  };
  if (block.element.querySelector(".evidence")) {
    button("Evidence", (made) => {
      const isOpen = block.element.classList.toggle("open");
      made.setAttribute("aria-expanded", String(isOpen));
    }).setAttribute("aria-expanded", "false");
  }
  button("Copy", () => copyText(text, "Copied " + text));
  id.append(name, box);
}
