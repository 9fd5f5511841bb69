// Zoom and search in the flame, sorting of tables, saving of the data. The page is whole without it.
"use strict";

document.documentElement.classList.add("js");

(function flame() {
  const box = document.getElementById("flame-frames");
  if (!box) return;
  const info = document.getElementById("flame-info");
  const search = document.getElementById("flame-search");
  const found = document.getElementById("flame-found");
  const frames = [...box.querySelectorAll(".fr")].map((element) => ({
    element,
    at: Number(element.dataset.at),
    ns: Number(element.dataset.ns),
    row: Number(element.dataset.row),
    name: element.textContent.toLowerCase(),
  }));
  const root = frames[0];

  // Shows `frame` from edge to edge: what is around it fills its row, what is beside it is away.
  function zoom(frame) {
    const end = frame.at + frame.ns;
    for (const f of frames) {
      const around = f.at <= frame.at && f.at + f.ns >= end && f.row <= frame.row;
      const inside = f.at >= frame.at && f.at + f.ns <= end && f.row > frame.row;
      f.element.hidden = !(around || inside);
      f.element.classList.toggle("dim", around && f.row < frame.row && f !== root);
      const left = around ? 0 : (f.at - frame.at) / frame.ns;
      const width = around ? 1 : f.ns / frame.ns;
      f.element.style.left = `${left * 100}%`;
      f.element.style.width = `${width * 100}%`;
    }
    info.textContent = frame.element.title;
  }

  function find() {
    const words = search.value.trim().toLowerCase();
    let ns = 0;
    // A frame inside one that is found is not counted again.
    let until = -1;
    for (const f of frames) {
      const hit = words !== "" && f.name.includes(words);
      f.element.classList.toggle("hit", hit);
      if (hit && f.at >= until) {
        ns += f.ns;
        until = f.at + f.ns;
      }
    }
    found.textContent = words === "" ? "" : `${((ns / root.ns) * 100).toFixed(1)} % of all`;
  }

  for (const f of frames) {
    f.element.addEventListener("click", () => zoom(f));
    for (const event of ["mouseenter", "focus"]) {
      f.element.addEventListener(event, () => { info.textContent = f.element.title; });
    }
  }
  document.getElementById("flame-reset").addEventListener("click", () => {
    search.value = "";
    find();
    zoom(root);
  });
  search.addEventListener("input", find);
  box.addEventListener("keydown", (event) => { if (event.key === "Escape") zoom(root); });
  info.textContent = root.element.title;
})();

// A click on a column's title sorts by it, numbers with the greatest first; again, the other way.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = cell.textContent;
    cell.replaceChildren(button);
    button.addEventListener("click", () => {
      const number = cell.classList.contains("n");
      const last = cell.getAttribute("aria-sort");
      const first = number ? "descending" : "ascending";
      const order = last === first ? (number ? "ascending" : "descending") : first;
      for (const other of cell.parentElement.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", order);
      const key = (row) => {
        const data = row.cells[column].dataset.value;
        return data === undefined ? row.cells[column].textContent : Number(data);
      };
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        return sign * (typeof x === "number" ? x - y : x.localeCompare(y));
      });
      body.append(...rows);
    });
  });
}

// A difference has none.
document.getElementById("download")?.addEventListener("click", () => {
  const text = document.getElementById("report").textContent;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "netpath-report.json";
  link.click();
  URL.revokeObjectURL(link.href);
});

// What is folded is opened for the printer.
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
