"use strict";
// Everything on the page is readable without this script; it adds sorting, filtering, heat maps on request, enlarging.
document.documentElement.classList.add("scripted");

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// --- tables that sort and filter

function valueOf(row, column) {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace(/,/g, ""));
  return /^[-\d]/.test(text) && !Number.isNaN(number) ? number : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortBy(table, header, column) {
  const isAscending = header.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", isAscending ? "ascending" : "descending");
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (isAscending ? 1 : -1) * compare(valueOf(a, column), valueOf(b, column)));
  table.tBodies[0].append(...rows);
}

function filter(table, words, said) {
  const wanted = words.toLowerCase();
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
    shown += !row.hidden;
  }
  said.textContent = wanted ? `${shown} of ${table.tBodies[0].rows.length} rows` : "";
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = element("button", { type: "button", className: "sort" }, ...header.childNodes);
    button.addEventListener("click", () => sortBy(table, header, column));
    header.setAttribute("aria-sort", "none");
    header.replaceChildren(button);
  });
  const said = element("output", { className: "soft" });
  const input = element("input", { type: "search", autocomplete: "off" });
  input.addEventListener("input", () => filter(table, input.value, said));
  const label = element("label", { className: "filter" }, `Filter ${table.dataset.what}: `, input);
  table.parentElement.before(element("p", { className: "tools" }, label, " ", said));
}

// --- pictures: heat maps on request, one picture large

for (const gallery of document.querySelectorAll(".gallery")) {
  if (!gallery.querySelector(".heat")) continue;
  const button = element("button", { type: "button", ariaPressed: "false" }, "Heat maps");
  button.addEventListener("click", () => {
    const isOn = gallery.classList.toggle("heated");
    button.setAttribute("aria-pressed", String(isOn));
  });
  gallery.before(element("p", { className: "tools" }, button));
}

const dialog = document.querySelector("dialog");
const items = [...document.querySelectorAll(".gallery .item")];
let current = 0;

function show(position) {
  current = (position + items.length) % items.length;
  const pictures = [...items[current].querySelectorAll("img")].map((picture) => picture.cloneNode());
  dialog.querySelector(".large").replaceChildren(...pictures);
  dialog.querySelector(".words").replaceChildren(...items[current].querySelector("figcaption").cloneNode(true).childNodes);
}

if (dialog) {
  items.forEach((item, position) => {
    const pictures = item.querySelector(".pictures");
    const button = element("button", { type: "button", className: "open" });
    button.setAttribute("aria-label", `Enlarge ${item.dataset.name}`);
    pictures.replaceWith(button);
    button.append(pictures);
    button.addEventListener("click", () => {
      show(position);
      dialog.showModal();
    });
  });
  for (const [name, step] of [["previous", -1], ["next", 1]]) {
    dialog.querySelector(`.${name}`).addEventListener("click", () => show(current + step));
  }
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(current + 1);
    if (event.key === "ArrowLeft") show(current - 1);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  // closing gives the focus back to the button of the first picture shown; it belongs to the last
  dialog.addEventListener("close", () => items[current].querySelector("button").focus());
}

// --- the confusion matrix of many classes, read cell by cell

for (const plate of document.querySelectorAll(".matrix")) {
  const names = JSON.parse(plate.dataset.names);
  const cells = JSON.parse(plate.dataset.cells);
  const block = Number(plate.dataset.block);
  const side = Math.ceil(names.length / block);
  const support = new Map();
  const blocks = new Map();
  for (const [row, column, count] of cells) support.set(row, (support.get(row) || 0) + count);
  for (const cell of cells) {
    const key = Math.floor(cell[0] / block) * side + Math.floor(cell[1] / block);
    if (!blocks.has(key)) blocks.set(key, []);
    blocks.get(key).push(cell);
  }
  const said = plate.parentElement.querySelector("output");
  const mark = element("span", { className: "mark" });
  mark.style.width = mark.style.height = `max(${100 / side}%, 5px)`;
  plate.append(mark);
  let place = [0, 0];
  const read = (row, column) => {
    place = [Math.min(Math.max(row, 0), side - 1), Math.min(Math.max(column, 0), side - 1)];
    mark.style.top = `${(100 * place[0]) / side}%`;
    mark.style.left = `${(100 * place[1]) / side}%`;
    mark.hidden = false;
    const here = (blocks.get(place[0] * side + place[1]) || []).sort((a, b) => b[2] - a[2]).slice(0, 3);
    const words = here.map(([r, c, n]) => `${names[r]} taken for ${names[c]}: ${n} (${((100 * n) / support.get(r)).toFixed(1)} %)`);
    const empty = `${names[place[0] * block]} taken for ${names[place[1] * block]}: none${block > 1 ? " (nor its neighbours)" : ""}`;
    said.textContent = words.length ? words.join("; ") : empty;
  };
  mark.hidden = true;
  plate.addEventListener("pointermove", (event) => {
    const box = plate.getBoundingClientRect();
    read(Math.floor((side * (event.clientY - box.top)) / box.height), Math.floor((side * (event.clientX - box.left)) / box.width));
  });
  plate.addEventListener("focus", () => read(...place));
  plate.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    read(place[0] + step[0], place[1] + step[1]);
  });
}
