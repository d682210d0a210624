// Tables: sorting, filtering, choosing rows, bars of intervals.
let data = {};
const tables = new Map();

const numbersIn = (text) => (text.match(/[-\u2212]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?/gi) ?? [])
  .map((word) => Number(word.replace("\u2212", "-").replaceAll(",", "")));
const at = (packed, column) => (Array.isArray(packed) ? packed[column] : packed);

const drawn = (cell, ends, { low, width }) => {
  if (!(width > 0)) return;
  const place = (value) => `${(100 * Math.min(1, Math.max(0, (value - low) / width))).toFixed(1)}%`;
  cell.classList.add("bar");
  ["--l", "--h", "--v"].forEach((name, i) => cell.style.setProperty(name, place(ends[i])));
};

const AT_ONCE = 100; // rows drawn before somebody asks for more: a thousand take a second

class Table {
  constructor(section) {
    this.section = section;
    this.own = data[section.id];
    this.table = $("table", section);
    this.body = this.table.tBodies[0];
    this.heads = $$("thead th.n", section);
    this.rows = [...this.body.rows].map((line, order) => {
      const name = $("th", line);
      return {
        line, order, facts: this.own.rows[order], name: $("span", name).textContent, fits: true,
        words: name.textContent.toLowerCase(), cells: [...line.cells].slice(name.cellIndex + 1),
      };
    });
    this.order = this.rows;
    this.benchmark = "";
    this.limit = AT_ONCE;
    this.scales = this.heads.map((_, column) => this.scale(column));
    this.headers();
    this.choosing();
    this.render();
  }

  interval(row, column) {
    if (row.facts.v[column] === null) return null;
    const [, second] = row.cells[column].firstChild.textContent.split("\n");
    return second ? numbersIn(second) : null;
  }

  // each column has a scale of its own, from the least to the largest end of what competes
  scale(column) {
    const ends = this.rows.flatMap((row) => (row.facts.b ? [] : this.interval(row, column) ?? []));
    const low = Math.min(...ends);
    return { low, width: Math.max(...ends) - low };
  }

  // what a row needs only once it is seen
  dress(row) {
    if (row.box) return;
    this.scales.forEach((scale, column) => {
      const span = this.interval(row, column);
      if (span) drawn(row.cells[column], [...span, row.facts.v[column]], scale);
    });
    row.box = make("input", { type: "checkbox", "aria-label": `Compare ${row.name}` });
    row.line.prepend(make("td", { class: "pick" }, row.box));
  }

  // the rows that fit, in their order, no more than the limit; returns how many fit
  render() {
    const fitting = this.order.filter((row) => row.fits);
    const shown = new Set(fitting.slice(0, this.limit));
    for (const row of this.rows) {
      row.line.hidden = !shown.has(row);
      if (shown.has(row)) this.dress(row);
    }
    $(".none", this.body)?.remove();
    if (!fitting.length) {
      const width = this.table.tHead.rows[0].cells.length;
      this.body.append(make("tr", { class: "none" }, make("td", { colspan: width }, "No row fits these filters.")));
    }
    this.more.hidden = shown.size === fitting.length;
    this.all.textContent = `Show all ${fitting.length.toLocaleString("en")} rows`;
    return fitting.length;
  }

  reveal(row) {
    if (row.line.hidden) {
      row.fits = true;
      this.limit = Infinity;
      this.render();
    }
  }

  headers() {
    for (const head of $$("thead th", this.section)) {
      const kind = head.dataset.sort ?? (head.classList.contains("n") ? this.heads.indexOf(head) : null);
      if (kind === null) continue;
      const link = $("a", head);
      const words = link ?? head.firstChild;
      const button = make("button", { type: "button", "aria-describedby": head.dataset.about }, make("span", {}, words.textContent));
      words.replaceWith(button);
      button.addEventListener("click", () => this.sort(head, kind));
    }
  }

  key(kind) {
    if (kind === "name") return (row) => row.name.toLowerCase();
    if (kind === "size") return (row) => row.facts.s ?? null;
    if (kind === "date") return (row) => row.facts.d ?? null;
    if (kind === "rank") return (row) => row.order;
    return (row) => row.facts.v[kind];
  }

  // first click: the best on top; second: the other way round; third: the board's own order
  sort(head, kind) {
    const first = typeof kind === "number" ? (head.dataset.better === "higher" ? "descending" : "ascending")
      : kind === "date" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const now = head.getAttribute("aria-sort");
    const next = now === null ? first : now === first ? other : null;
    for (const each of $$("[aria-sort]", this.section)) each.removeAttribute("aria-sort");
    const key = this.key(kind), sign = next === "descending" ? -1 : 1;
    const sorted = [...this.rows];
    if (next) {
      head.setAttribute("aria-sort", next);
      sorted.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null) || a.order - b.order;
        return sign * ((x > y) - (x < y)) || a.order - b.order;
      });
    }
    this.order = sorted;
    this.body.append(...sorted.map((row) => row.line));
    this.render();
    say(next ? `Sorted by ${$("button", head).textContent.trim()}, ${next}.` : "Sorted as the board ranks.");
  }

  // ---- choosing rows
  choosing() {
    this.table.tHead.rows[0].prepend(make("th", { scope: "col", class: "pick" }, make("span", { class: "vh" }, "Compare")));
    this.body.addEventListener("change", () => this.choose());
    this.go = make("button", { type: "button", class: "go" }, "Compare");
    const clear = make("button", { type: "button" }, "Clear");
    this.count = make("span");
    this.bar = make("div", { class: "chosen", role: "group", "aria-label": "Chosen rows", hidden: true }, this.count, this.go, clear);
    this.all = make("button", { type: "button" });
    this.more = make("p", { class: "rest", hidden: true }, `The first ${AT_ONCE} rows are shown. `, this.all);
    $(".scroll", this.section).after(this.bar, this.more);
    this.go.addEventListener("click", () => {
      const keys = this.chosen.map((row) => row.line.id.split(":row.")[1]);
      location.hash = `compare/${this.section.id}/${keys.join(",")}`;
    });
    clear.addEventListener("click", () => {
      for (const row of this.chosen) row.box.checked = false;
      this.choose();
      $(".scroll", this.section).focus();
    });
    this.all.addEventListener("click", () => {
      this.limit = Infinity;
      this.render();
    });
  }

  get chosen() { return this.order.filter((row) => row.box?.checked); }

  choose() {
    const { chosen } = this;
    for (const row of this.rows) row.line.classList.toggle("picked", Boolean(row.box?.checked));
    this.bar.hidden = chosen.length === 0;
    this.go.disabled = chosen.length < 2;
    this.count.textContent = chosen.length === 1 ? "1 row chosen: choose another one" : `${chosen.length} rows chosen`;
    say(this.count.textContent);
  }

  // ---- filtering; returns how many rows are left
  filter(wanted) {
    this.show(wanted.benchmark);
    for (const row of this.rows) row.fits = this.fits(row, wanted);
    return this.render();
  }

  show(benchmark) {
    if (benchmark === this.benchmark) return;
    this.benchmark = benchmark;
    this.heads.forEach((head, column) => {
      const off = benchmark !== "" && head.dataset.benchmark !== benchmark;
      head.hidden = off;
      for (const row of this.rows) row.cells[column].hidden = off;
    });
  }

  fits(row, wanted) {
    const { facts } = row;
    if (facts.b && !wanted.baselines) return false;
    if (wanted.words.some((word) => !row.words.includes(word))) return false;
    if (wanted.modality && facts.m !== wanted.modality) return false;
    if (wanted.size === "none" && facts.s) return false;
    if (wanted.size && wanted.size !== "none" && (!facts.s || String(facts.s).length - 1 !== Number(wanted.size))) return false;
    if (wanted.from && !(facts.d >= wanted.from)) return false;
    if (wanted.to && !(facts.d <= wanted.to)) return false;
    return !wanted.benchmark || this.heads.some((head, i) => head.dataset.benchmark === wanted.benchmark && !row.cells[i].classList.contains("m"));
  }

  // ---- one number, with all that is known of it
  cell(row, column) {
    const { facts, cells } = row;
    const shown = cells[column].firstChild.textContent;
    return {
      shown, value: facts.v[column], interval: this.interval(row, column), css: cells[column].className,
      rank: this.own.ranks[at(facts.k, column)] ?? "", span: this.own.spans[at(facts.n, column)] ?? "",
      records: this.own.records[at(facts.r, column)] ?? [],
      note: $(".fn", cells[column]) ? noteOf($(".fn", cells[column])) : "",
    };
  }

  byKey(key) { return this.rows.find((row) => row.line.id.endsWith(`:row.${key}`)); }
  label(column) { return $("button span", this.heads[column]).textContent; }
  title() { return $("h3", this.section).textContent; }
}

const noteOf = (link) => document.getElementById(link.getAttribute("href").slice(1))?.textContent ?? "";

const tablesOf = (board) => $$(".table:not(.published)", board).map((section) => {
  if (!tables.has(section.id)) tables.set(section.id, new Table(section));
  return tables.get(section.id);
});

const watchFilters = (board) => {
  const form = $(".filters", board);
  if (!form) return;
  form.hidden = false;
  const apply = () => {
    const given = Object.fromEntries(new FormData(form));
    const wanted = {
      words: (given.text ?? "").toLowerCase().split(/\s+/).filter(Boolean), baselines: "baselines" in given,
      modality: given.modality ?? "", benchmark: given.benchmark ?? "", size: given.size ?? "", from: given.from ?? "", to: given.to ?? "",
    };
    const own = tablesOf(board);
    const all = own.reduce((sum, table) => sum + table.rows.length, 0);
    const shown = own.reduce((sum, table) => sum + table.filter(wanted), 0);
    $("output", form).textContent = shown === all ? "" : `${shown} of ${all} rows`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
};
