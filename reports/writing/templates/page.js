"use strict";

// Colours: the reader's system decides, or this button, which remembers where the browser lets it.

const THEMES = ["auto", "light", "dark"];
const THEME_KEY = "hsa_bench report theme";

function storedTheme() {
  try {
    const theme = localStorage.getItem(THEME_KEY);
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto";
  }
}

function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

function prepareThemeButton(button) {
  const label = () => { button.textContent = `Colours: ${document.documentElement.dataset.theme}`; };
  button.addEventListener("click", () => {
    const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    showTheme(theme);
    try {
      localStorage.setItem(THEME_KEY, theme);
    } catch { /* a file:// page may not store anything */ }
    label();
  });
  label();
  button.hidden = false;
}

// Tables: the first line of a cell is what a column is sorted by.

const ABSENT = new Set(["", "—", "n/a", "failed", "unknown", "not paired"]);
const NUMBER = /^[~≈<>≤≥[(]?\s*([+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?:\s*(ms|s|min|h|d)\b)?(?![.:-]?\w)/i;
const SECONDS = { ms: 0.001, s: 1, min: 60, h: 3600, d: 86400 };
const COLLATOR = new Intl.Collator("en", { numeric: true });

function leadingNumber(text) {
  const found = NUMBER.exec(text.replace("−", "-"));
  return found ? Number(found[1].replaceAll(",", "")) * (SECONDS[found[2]] ?? 1) : null;
}

function sortKeys(rows, column) {
  const texts = rows.map((row) => row.cells[column].textContent.trim().split("\n")[0].trim());
  const words = texts.map((text) => (ABSENT.has(text) ? null : text));
  const numbers = words.map((text) => (text === null ? null : leadingNumber(text)));
  const present = (keys) => keys.filter((key) => key !== null).length;
  return 2 * present(numbers) > present(words) ? numbers : words;
}

function sorted(rows, column, direction) {
  const keys = sortKeys(rows, column);
  const compare = (x, y) => (typeof x === "number" ? x - y : COLLATOR.compare(x, y));
  return rows
    .map((row, i) => ({ row, key: keys[i] }))
    .sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return direction * compare(a.key, b.key);
    })
    .map(({ row }) => row);
}

function makeSortable(table) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null }[header.ariaSort];
      const order = next === undefined ? "ascending" : next;
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      if (order) header.setAttribute("aria-sort", order);
      body.append(...(order ? sorted(original, column, order === "ascending" ? 1 : -1) : original));
    });
  });
}

// Print: everything that is folded away is opened, and folded again afterwards.

let opened = [];

function openAll() {
  opened = [...document.querySelectorAll("main details:not([open])")];
  opened.forEach((details) => { details.open = true; });
}

function closeAgain() {
  opened.forEach((details) => { details.open = false; });
}

showTheme(storedTheme());
window.addEventListener("beforeprint", openAll);
window.addEventListener("afterprint", closeAgain);
document.addEventListener("DOMContentLoaded", () => {
  prepareThemeButton(document.querySelector("button.theme"));
  document.querySelectorAll(".table:not(.facts) table").forEach((table) => {
    if (table.tBodies.length && table.tBodies[0].rows.length > 1) makeSortable(table);
  });
});
