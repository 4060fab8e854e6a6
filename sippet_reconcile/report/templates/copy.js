// Copying to the clipboard, also from a file that was opened from a disk.

function say(text) {
  const line = document.querySelector(".said");
  line.textContent = "";
  // Said anew each time, also where it is the same as before.
  requestAnimationFrame(() => { line.textContent = text; });
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { line.textContent = ""; }, 4000);
}

function copyByHand(text) {
  const area = document.createElement("textarea"), had = document.activeElement;
  area.className = "aside";
  area.value = text;
  document.body.append(area);
  area.select();
  let isDone = false;
  try { isDone = document.execCommand("copy"); } catch (error) { isDone = false; }
  area.remove();
  if (had) had.focus({ preventScroll: true });
  return isDone;
}

async function copyText(text, told) {
  let isDone = false;
  try {
    await navigator.clipboard.writeText(text);
    isDone = true;
  } catch (error) {
    isDone = copyByHand(text);
  }
  say(isDone ? told : "The browser did not let this be copied: select it and copy it by hand");
}

// A spreadsheet calculates what begins like a formula; a plain signed number may stay one.
function sheetText(text, isNumber) {
  const flat = text.replace(/[\t\r\n\u000b\u000c\u0085\u2028\u2029]+/g, " ");
  if (isNumber) {
    const plain = plainNumber(flat);
    if (plain !== "" && Number.isFinite(Number(plain))) return plain + (flat.endsWith("%") ? "%" : "");
  }
  if (flat === MISSING) return "";
  if (/^[+\-\u2212]\d[\d,]*(\.\d+)?$/.test(flat)) return flat;
  return /^[\s'"]*[=+\-@\u2212\uff1d\uff0b\uff0d\uff20]/.test(flat) ? "'" + flat : flat;
}

function copyTable(table) {
  const heads = table.heads.map((head) => sheetText(head.textContent, false));
  const lines = [heads.join("\t")];
  table.blocks.filter((block) => block.fits).forEach((block) => {
    block.rows.forEach((_, row) => {
      lines.push(table.heads.map((_, column) => sheetText(table.cell(block, row, column), table.isNumber[column])).join("\t"));
    });
  });
  copyText(lines.join("\n") + "\n", "Copied " + counted(lines.length - 1, table.box.dataset.row));
}
