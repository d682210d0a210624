// One view at a time, named by the address; definitions on hover and focus; the start.
const address = () => {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; } // "#%" is no address
};

const go = (event) => {
  const name = address();
  let target = name.startsWith("compare/") ? showComparison(name.slice(8)) : document.getElementById(name);
  let view = target?.closest(".view, article");
  if (!view) {
    const only = $$(".board");
    target = view = only.length === 1 && !target ? only[0] : part("overview");
  }
  for (const each of $$(".on")) each.classList.toggle("on", each === view);
  view.classList.add("on");
  if (view.matches(".board")) tablesOf(view);
  if (view.matches("article")) fillRecord(view);
  const heading = $("h2, h3", view);
  document.title = view === part("overview") ? "Masquerade leaderboards" : `${heading.textContent} · Masquerade leaderboards`;
  for (const link of $$("nav a")) {
    const here = link.hash === `#${view.id}`;
    here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  for (const each of $$("tr.target")) each.classList.remove("target");
  if (target.matches("tr")) {
    for (const table of tablesOf(view)) table.rows.filter((row) => row.line === target).forEach((row) => table.reveal(row));
    target.classList.add("target");
  }
  for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
  hideTip();
  if (target === view) scrollTo(0, 0);
  else target.scrollIntoView({ block: target.matches("tr") ? "center" : "start" });
  if (event && target === view) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
};

// ---- definitions and notes, by pointer and by keyboard
let tipOf = null;
const hideTip = () => { if (tipOf) { part("tip").hidden = true; tipOf = null; } };
const tipText = (node) => {
  if (node.matches(".fn")) return noteOf(node);
  const about = node.getAttribute("aria-describedby");
  if (about) return document.getElementById(about)?.textContent ?? "";
  const table = tables.get(node.closest(".table")?.id);
  const row = table?.rows.find((each) => each.line === node.parentElement);
  const cell = row && table.cell(row, row.cells.indexOf(node));
  return cell ? [cell.value, cell.span, cell.rank && `rank ${cell.rank}`].filter((text) => text !== null && text !== "").join("\n") : "";
};
const showTip = (node) => {
  const tip = part("tip"), text = tipText(node);
  if (!text) return;
  tipOf = node;
  tip.textContent = text;
  tip.hidden = false;
  const box = node.getBoundingClientRect(), own = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left), innerWidth - own.width - 8);
  const below = box.bottom + 2 + own.height <= innerHeight;
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? box.bottom + 2 : Math.max(8, box.top - own.height - 2)}px`;
};
const tipped = "[aria-describedby], .fn, td.bar";
const watchTips = () => {
  const enter = (event) => {
    const node = event.target.closest?.(tipped);
    if (node === tipOf || event.target.closest?.("#page\\:tip")) return;
    hideTip();
    if (node) showTip(node);
  };
  document.addEventListener("pointerover", enter);
  document.addEventListener("focusin", enter);
  document.addEventListener("focusout", hideTip);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
  document.addEventListener("scroll", hideTip, { capture: true, passive: true });
};

document.addEventListener("DOMContentLoaded", () => {
  data = JSON.parse(part("data").textContent);
  $(".theme").hidden = false;
  paint(memory.read());
  for (const button of $$(".theme button")) {
    button.addEventListener("click", () => { memory.write(button.dataset.theme); paint(button.dataset.theme); });
  }
  for (const board of $$(".board")) watchFilters(board);
  for (const command of $$("pre.command")) copyButton(command);
  watchTips();
  addEventListener("hashchange", go);
  go();
});
