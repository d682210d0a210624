// The page works without this script: boards, records and notes are all there, one below another.
// With it one view is shown at a time, and tables can be sorted, filtered and compared.
// The page joins page.js, tables.js, views.js and routes.js into one script.
"use strict";
const root = document.documentElement;
root.classList.add("js");

const $ = (selector, at = document) => at.querySelector(selector);
const $$ = (selector, at = document) => [...at.querySelectorAll(selector)];
const part = (name) => document.getElementById(`page:${name}`);
// texts become text nodes: nothing here parses HTML
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== ""));
  return node;
};
const say = (text) => { part("said").textContent = text; };

// ---- colours: before the first paint
const memory = {
  read() { try { return localStorage.getItem("masquerade-theme"); } catch { return null; } },
  write(value) { try { localStorage.setItem("masquerade-theme", value); } catch { /* no storage: it lasts as long as the page */ } },
};
const paint = (theme) => {
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  else delete root.dataset.theme;
  for (const button of $$(".theme button")) {
    button.setAttribute("aria-pressed", String(button.dataset.theme === (root.dataset.theme ?? "auto")));
  }
};
paint(memory.read());
