document.querySelectorAll(".table").forEach((box) => new Table(box).start());

// A part that scrolls sideways can be reached by keyboard; one that does not is no stop on the way.
function markScrolling() {
  document.querySelectorAll(".scroll").forEach((box) => {
    const doesFit = box.scrollWidth <= box.clientWidth + 1;
    box.classList.toggle("fits", doesFit);
    if (doesFit) box.removeAttribute("tabindex"); else box.tabIndex = 0;
  });
}
markScrolling();
addEventListener("resize", markScrolling);

// Paper cannot be unfolded: what is folded is opened for printing, and closed again.
let folded = [];
addEventListener("beforeprint", () => {
  folded = Array.from(document.querySelectorAll("details:not([open])"));
  folded.forEach((one) => { one.open = true; });
});
addEventListener("afterprint", () => { folded.forEach((one) => { one.open = false; }); });
