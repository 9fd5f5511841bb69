"use strict";
const faults = [];
window.addEventListener("error", (event) => faults.push(event.message));
window.addEventListener("securitypolicyviolation", (event) => faults.push(`loads ${event.blockedURI}`));

function holds(what, condition) {
  if (!condition) faults.push(what);
}

function tryFlame() {
  const frames = [...document.querySelectorAll(".fr")];
  const deepest = Math.max(...frames.map((f) => Number(f.dataset.row)));
  const leaf = frames.find((f) => Number(f.dataset.row) === deepest);
  const info = document.getElementById("flame-info");
  leaf.click();
  holds("a frame that is selected goes from edge to edge", leaf.style.width === "100%");
  holds("what is beside it is away", frames.some((f) => f.hidden));
  holds("its figures are shown", info.textContent === leaf.title);
  const search = document.getElementById("flame-search");
  search.value = leaf.textContent.split(" ")[0];
  search.dispatchEvent(new Event("input"));
  holds("what is searched for is marked", document.querySelectorAll(".fr.hit").length > 0);
  holds("and its share is shown", document.getElementById("flame-found").textContent.endsWith("% of all"));
  document.getElementById("flame-reset").click();
  holds("all is shown again", frames.every((f) => !f.hidden));
  holds("and nothing is marked", document.querySelectorAll(".fr.hit").length === 0);
}

function trySorting(table, title) {
  const column = [...table.tHead.rows[0].cells].findIndex((c) => c.textContent === title);
  const values = () => [...table.tBodies[0].rows].map((r) => Number(r.cells[column].dataset.value));
  const button = table.tHead.rows[0].cells[column].querySelector("button");
  button.click();
  holds("the first click puts the greatest first", values().every((v, i, all) => i === 0 || all[i - 1] >= v));
  button.click();
  holds("the second the smallest", values().every((v, i, all) => i === 0 || all[i - 1] <= v));
}

window.addEventListener("load", () => {
  try {
    const ledger = document.querySelector("table.ledger");
    if (ledger) {
      tryFlame();
      trySorting(ledger, "mean");
      JSON.parse(document.getElementById("report").textContent);
    } else {
      trySorting(document.querySelector("table[data-sortable]"), "change");
      holds("what has changed stands out", document.querySelectorAll("tr.changed").length > 0);
    }
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    holds(`nothing is beyond the page's edge (${wide} pixels are)`, wide <= 0);
  } catch (error) {
    faults.push(String(error));
  }
  document.documentElement.dataset.check = faults.length === 0 ? "fine" : faults.join("; ");
});
