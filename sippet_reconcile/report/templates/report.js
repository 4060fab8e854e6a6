"use strict";
// Sorting, searching and paging of tables. Without it the page shows every row.
(function () {
  // Digits within text are compared as numbers: 9 comes before 10.
  var order = new Intl.Collator("en", { numeric: true });
  function number(text) {
    var plain = text.replace(/,/g, "").replace(/\u2212/g, "-").replace(/^\+/, "");
    return plain === "\u2013" || plain === "" ? null : Number(plain);
  }
  function compare(a, b) {
    if (a === b) return 0;
    if (a === null) return 1;
    if (b === null) return -1;
    return typeof a === "string" ? order.compare(a, b) : a < b ? -1 : 1;
  }
  document.querySelectorAll(".table").forEach(function (box) {
    var body = box.querySelector("tbody");
    var rows = Array.prototype.slice.call(body.rows);
    var total = rows.filter(function (row) { return row.className === "total"; });
    rows = rows.filter(function (row) { return row.className !== "total"; });
    var step = Number(box.dataset.paged || 0);
    var limit = step || Infinity;
    var tools = box.querySelector(".tools");
    var next = box.querySelector(".next");
    var texts = step ? rows.map(function (row) { return row.textContent.toLowerCase(); }) : null;
    rows.forEach(function (row, at) { row.place = at; });

    function show() {
      var words = [], picks = [];
      if (tools) {
        words = tools.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
        tools.querySelectorAll("select").forEach(function (one) {
          if (one.value) picks.push([Number(one.dataset.column), one.value]);
        });
      }
      var found = 0;
      rows.forEach(function (row) {
        var fits = words.every(function (word) { return texts[row.place].indexOf(word) >= 0; }) &&
          picks.every(function (pick) { return row.cells[pick[0]].textContent === pick[1]; });
        if (fits) found += 1;
        row.hidden = !fits || found > limit;
      });
      if (tools) {
        tools.querySelector(".count").textContent =
          Math.min(found, limit).toLocaleString("en") + " of " + found.toLocaleString("en") + " shown";
        next.hidden = found <= limit;
      }
    }

    box.querySelectorAll("th").forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        var down = head.getAttribute("aria-sort") === "ascending";
        box.querySelectorAll("th").forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        var isNumber = head.className === "n";
        rows.forEach(function (row) {
          var text = row.cells[column].textContent;
          row.key = isNumber ? number(text) : text === "\u2013" ? null : text;
        });
        rows.sort(function (a, b) {
          if (a.key === null || b.key === null) return compare(a.key, b.key) || a.place - b.place;
          return (down ? -1 : 1) * compare(a.key, b.key) || a.place - b.place;
        });
        rows.concat(total).forEach(function (row) { body.appendChild(row); });
        show();
      });
    });
    if (tools) {
      tools.hidden = false;
      tools.addEventListener("input", function () { limit = step; show(); });
      next.addEventListener("click", function () { limit += step; show(); });
      show();
    }
  });
})();
