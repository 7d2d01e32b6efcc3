"use strict";
// What is wider than its frame is marked, so that it shows that it goes on.
const mark = (pan) => {
  const cut = pan.scrollWidth > pan.clientWidth + 1;
  const end = pan.scrollLeft + pan.clientWidth >= pan.scrollWidth - 2;
  pan.parentElement.classList.toggle("cut", cut);
  pan.parentElement.classList.toggle("end", end);
  if (cut) pan.tabIndex = 0; // the arrow keys move it
  else pan.removeAttribute("tabindex");
};
const sizes = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target.closest(".pan"))));
const watch = (pan) => {
  sizes.observe(pan);
  if (pan.firstElementChild) sizes.observe(pan.firstElementChild);
  pan.addEventListener("scroll", () => mark(pan), { passive: true });
  mark(pan);
};
document.querySelectorAll(".pan").forEach(watch);

// On paper nothing is folded.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((fold) => { fold.open = true; });
});
addEventListener("afterprint", () => {
  folded.forEach((fold) => { fold.open = false; });
  folded = [];
});

// A table of records: sorted by its heads, narrowed by choices and by words, a page at a time.
const STEP = 25;
const element = (tag, values = {}, ...inside) => {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...inside);
  return made;
};
const written = (value, kind) => {
  if (value === null) return "";
  if (kind !== "number") return String(value);
  if (value === 0 || !Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  if (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e10) return value.toExponential(2);
  return value.toLocaleString("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
};
// Empty values come last, whichever way the others go.
const compare = (place, down) => (one, other) => {
  const [a, b] = [one[place], other[place]];
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  return down ? -order : order;
};

const records = (root) => {
  const { columns, rows } = JSON.parse(root.querySelector("script").textContent);
  columns.forEach((column, place) => {
    // JSON has no infinities.
    if (column.kind === "number") rows.forEach((row) => { if (row[place] !== null) row[place] = Number(row[place]); });
  });
  let [sorted, down, most] = [null, false, STEP];
  const wanted = new Map();
  const search = element("input", { type: "search", placeholder: "an id, or a word" });
  const controls = element("div", { className: "controls" });
  const said = element("p", { className: "note" });
  said.setAttribute("aria-live", "polite");
  const body = element("tbody");
  const more = element("button", { type: "button", className: "more" });
  const heads = columns.map((column, place) => {
    const button = element("button", { type: "button", textContent: column.name });
    const head = element("th", { className: column.kind === "number" ? "number" : "", scope: "col" }, button);
    button.addEventListener("click", () => {
      down = sorted === place && !down;
      [sorted, most] = [place, STEP];
      show();
    });
    return head;
  });
  const show = () => {
    const words = search.value.trim().toLowerCase();
    let found = rows.filter((row) =>
      [...wanted].every(([place, value]) => written(row[place], columns[place].kind) === value) &&
      (!words || row.some((value) => value !== null && String(value).toLowerCase().includes(words))));
    if (sorted !== null) found = found.slice().sort(compare(sorted, down));
    heads.forEach((head, place) => {
      if (place === sorted) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(...found.slice(0, most).map((row) => element("tr", {}, ...row.map((value, place) => {
      const text = written(value, columns[place].kind);
      return element("td", { className: columns[place].kind === "number" ? "number" : text.length > 40 ? "words" : "", textContent: text });
    }))));
    const shown = Math.min(most, found.length);
    said.textContent = `${shown.toLocaleString("en")} of ${found.length.toLocaleString("en")} rows that fit are shown.`;
    more.hidden = shown === found.length;
    more.textContent = `Show ${Math.min(4 * STEP, found.length - shown)} more`;
  };
  columns.forEach((column, place) => {
    if (column.kind !== "choice") return;
    const values = [...new Set(rows.map((row) => written(row[place], column.kind)))];
    values.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    const select = element("select", {}, element("option", { value: "all", textContent: "all" }),
      ...values.map((value, at) => element("option", { value: String(at), textContent: value || "(none)" })));
    select.ariaLabel = column.name; // a label around it would say its choices too
    select.addEventListener("change", () => {
      if (select.value === "all") wanted.delete(place);
      else wanted.set(place, values[Number(select.value)]);
      most = STEP;
      show();
    });
    controls.append(element("label", {}, column.name, select));
  });
  search.addEventListener("input", () => { most = STEP; show(); });
  more.addEventListener("click", () => { most += 4 * STEP; show(); });
  controls.append(element("label", {}, "find", search));
  const pan = element("div", { className: "pan" }, element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body));
  const hint = element("div", { className: "hint", textContent: "scroll sideways \u2192" });
  root.append(controls, element("div", { className: "wide" }, pan, hint), said, more);
  show();
  watch(pan);
};
document.querySelectorAll(".records").forEach(records);
