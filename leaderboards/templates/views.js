// Views made on demand: a comparison of chosen rows, and all that the page holds about a record.
const signed = (gap, shown) => {
  const digits = (/\.(\d+)/.exec(shown) ?? ["", ""])[1].length;
  return gap === 0 ? "±0" : `${gap > 0 ? "+" : "\u2212"}${Math.abs(gap).toFixed(digits)}`;
};

const compared = (table, rows) => {
  const head = make("tr", {}, make("th", { scope: "col", class: "name" }, "Metric"),
    ...rows.map((row) => make("th", { scope: "col" }, make("span", {}, row.name))));
  const body = make("tbody");
  table.heads.forEach((header, column) => {
    const cells = rows.map((row) => table.cell(row, column));
    const values = cells.map((cell) => cell.value).filter((value) => value !== null);
    if (!values.length) return;
    const ends = cells.flatMap((cell) => cell.interval ?? []);
    const low = Math.min(...ends), width = Math.max(...ends) - low;
    const better = header.dataset.better === "higher" ? Math.max(...values) : Math.min(...values);
    const line = make("tr", {}, make("th", { scope: "row" }, table.label(column), make("small", {}, `${header.dataset.better} is better`)));
    cells.forEach((cell, i) => {
      const gap = i && cell.value !== null && cells[0].value !== null ? `\n${signed(cell.value - cells[0].value, cell.shown)}` : "";
      const why = cell.value === null && cell.note ? `: ${cell.note}` : "";
      const best = values.length > 1 && cell.value === better;
      const td = make("td", { class: why ? "r" : best ? "b" : false }, cell.shown + gap + why);
      if (cell.interval) drawn(td, [...cell.interval, cell.value], { low, width });
      line.append(td);
    });
    body.append(line);
  });
  const fact = (name, of) => {
    const texts = rows.map(of);
    if (texts.some(Boolean)) body.append(make("tr", {}, make("th", { scope: "row" }, name), ...texts.map((text) => make("td", { class: "r" }, text || "–"))));
  };
  fact("Rank", (row) => $(".k", row.line)?.textContent.replace("\n", ", range "));
  fact("About", (row) => $("th small", row.line).textContent);
  fact("Size", (row) => row.facts.s?.toLocaleString("en"));
  fact("Date", (row) => row.facts.d);
  fact("Check", (row) => row.line.lastElementChild.textContent);
  const links = rows.map((row) => make("td", { class: "r" }, ...$$("th a[href^='#record:']", row.line).flatMap((link, i) => [
    ...(i ? [" "] : []), make("a", { href: link.getAttribute("href") }, link.getAttribute("href").slice(8))])));
  body.append(make("tr", {}, make("th", { scope: "row" }, "Records"), ...links));
  return make("table", {}, make("caption", { class: "vh" }, `Comparison on ${table.title()}`), make("thead", {}, head), body);
};

const showComparison = (place) => {
  const [id, keys] = place.split("/");
  const section = document.getElementById(id);
  if (!section || !data[id]) return null;
  const table = tablesOf(section.closest(".board")).find((each) => each.section === section);
  const rows = (keys ?? "").split(",").map((key) => table.byKey(key)).filter(Boolean);
  if (!rows.length) return null;
  const view = part("compare");
  view.hidden = false;
  view.classList.add("compare");
  view.replaceChildren(
    make("p", { class: "back" }, make("a", { href: `#${id}` }, `← ${table.title()}`)),
    make("h2", {}, `${rows.length} subjects on ${table.title()}`),
    make("p", { class: "counts" }, "Signed numbers are differences to the first one. Whether a difference is beyond doubt is said by the ranks, not by these."),
    make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Comparison" }, compared(table, rows)));
  return view;
};

// ---- one record: what the page holds about it elsewhere, gathered
const metricsOf = (article) => {
  const id = article.id.slice(7);
  const body = make("tbody");
  for (const link of $$(".more a[href*=':row.']", article)) {
    const line = document.getElementById(link.getAttribute("href").slice(1));
    const board = line?.closest(".board");
    for (const table of board ? tablesOf(board) : []) {
      const row = table.rows.find((each) => each.line === line);
      table.heads.forEach((_, column) => {
        const cell = row ? table.cell(row, column) : null;
        if (!cell || !cell.records.includes(id)) return;
        const [value, interval] = cell.shown.split("\n");
        body.append(make("tr", {}, make("th", { scope: "row" }, table.label(column)),
          make("td", { class: cell.css.includes("b") ? "b" : false }, value), make("td", { class: "r" }, interval ?? "–"),
          make("td", { class: "r" }, cell.note || cell.span), make("td", { class: "r" }, cell.rank || "–")));
      });
    }
  }
  if (!body.rows.length) return "";
  const heads = ["Metric", "Value", "95 % interval", "Over", "Rank"].map((name, i) => make("th", { scope: "col", class: i ? false : "name" }, name));
  return make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Metrics" },
    make("table", {}, make("caption", { class: "vh" }, "Metrics of this record"), make("thead", {}, make("tr", {}, ...heads)), body));
};

const copyButton = (command) => {
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    const text = $("code", command).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      say("Command copied.");
    } catch { // a page opened from a file may not write to the clipboard everywhere
      getSelection().selectAllChildren($("code", command));
      button.textContent = "Selected";
    }
  });
  command.prepend(button);
};

// "name  value" lines; a line without a name goes on with the value above it
const listed = (text) => {
  const list = make("dl", { class: "facts" });
  for (const line of text.trimEnd().split("\n")) {
    const [, name, value] = /^(\S.*?) {2,}(.*)$/.exec(line) ?? ["", "", line];
    if (name || !list.lastChild) list.append(make("dt", {}, name || "–"), make("dd", {}, value));
    else list.lastChild.append(`\n${value}`);
  }
  return list;
};

const fillRecord = (article) => {
  if (article.dataset.filled) return;
  article.dataset.filled = "yes";
  const [row] = $$(".more a[href*=':row.']", article);
  if (row) article.prepend(make("p", { class: "back" }, make("a", { href: row.getAttribute("href") }, `← ${row.textContent}`)));
  const details = make("div", { class: "details" });
  const show = (name, text) => details.append(make("section", {}, make("h3", {}, name[0].toUpperCase() + name.slice(1)), listed(text)));
  const texts = [
    ...$$("a[href^='#shared:']", article).map((link) => [link.textContent, $("pre", document.getElementById(link.hash.slice(1))).textContent]),
    ...$$("details", article).map((own) => [$("summary", own).textContent, $("pre", own).textContent]),
  ];
  for (const own of $$("details", article)) own.remove();
  for (const name of ["task", "subject", "settings", "facts", "machine"]) {
    for (const [of, text] of texts) if (of === name) show(name, text);
  }
  const hashes = $("pre.facts", article);
  hashes.before(make("h3", {}, "Metrics"), metricsOf(article));
  show("record", hashes.textContent);
  hashes.remove();
  article.append(details);
  const heading = $("h3", article); // the only heading above it, "Records", is of another view
  heading.setAttribute("aria-level", "2");
  heading.setAttribute("role", "heading");
};
