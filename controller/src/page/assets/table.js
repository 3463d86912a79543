// The table of all networks: sorted, filtered, with chosen columns. Only the rows in sight are elements.

const ROW = 30; // Height of a row in pixels, as in the style.

const tablePart = {
  id: "table",
  title: "All networks",
  has: (model) => model.shown !== null && model.shown.size > 0,

  build(section) {
    this.input = el("input", {
      id: "filter",
      type: "search",
      placeholder: "time_ms < 5 and status = ok",
      spellcheck: "false",
      autocomplete: "off",
      "aria-describedby": "filter-help filter-answer",
      input: () => {
        view.filter = this.input.value;
        this.arrange();
      },
    });
    this.answer = el("span", { id: "filter-answer", class: "note", role: "status" });
    this.chooser = el("details", { class: "chooser" });
    this.copier = button("copy", () => copy(this.csv(), this.copier), {
      class: "small",
      title: "Copy these rows and columns as CSV",
    });
    this.head = el("tr", null);
    this.body = el("tbody", null);
    this.table = el("table", { class: "grid all" }, el("thead", null, this.head), this.body);
    this.window = el(
      "div",
      {
        class: "window",
        tabindex: 0,
        role: "region",
        "aria-label": "All networks",
        scroll: () => this.paint(),
        keydown: (event) => this.key(event),
      },
      this.table,
    );
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-place]");
      if (row) openNetwork(this.run, Number(row.dataset.place));
    });
    section.append(
      el(
        "div",
        { class: "controls" },
        el("label", { class: "control grow" }, "filter", this.input),
        el("span", null, this.copier, " as CSV"),
        this.chooser,
      ),
      el(
        "p",
        { id: "filter-help", class: "note quiet" },
        "Columns with <, <=, >, >=, =, != and ~ (contains), joined by and, or, not and brackets; ",
        'names with blanks in quotes: "edge 0→1" = skip_connect. A word alone is looked for everywhere.',
      ),
      this.answer,
      this.window,
    );
    new ResizeObserver(() => this.paint()).observe(this.window);
  },

  update(model) {
    this.model = model;
    this.run = model.shown;
    this.columns = columnsOf(this.run);
    if (this.input.value !== view.filter) this.input.value = view.filter;
    if (!view.columns)
      view.columns = this.columns.filter((column) => column.usual).map((column) => column.key);
    this.chosen = this.columns.filter((column) => view.columns.includes(column.key));
    this.drawChooser();
    this.drawHead();
    this.arrange();
  },

  drawChooser() {
    const state = JSON.stringify([this.columns.map((column) => column.key), view.columns]);
    if (state === this.state) return;
    const open = this.chooser.open;
    this.state = state;
    this.chooser.replaceChildren(
      el("summary", null, "columns"),
      el(
        "div",
        { class: "choices" },
        this.columns.map((column) =>
          tick(short(column.key, 40), view.columns.includes(column.key), (on) => {
            view.columns = on
              ? [...view.columns, column.key]
              : view.columns.filter((key) => key !== column.key);
            this.update(this.model);
          }),
        ),
      ),
    );
    this.chooser.open = open;
  },

  drawHead() {
    this.head.replaceChildren(
      ...this.chosen.map((column) => {
        const sorted = view.sort.column === column.key;
        return el(
          "th",
          {
            scope: "col",
            class: column.words ? "words" : null,
            "aria-sort": sorted ? (view.sort.down ? "descending" : "ascending") : "none",
          },
          button(
            short(column.key, 28) + (sorted ? (view.sort.down ? " ▾" : " ▴") : ""),
            () => {
              view.sort = { column: column.key, down: sorted && !view.sort.down };
              this.drawHead();
              this.arrange();
              this.head.children[this.chosen.indexOf(column)]?.querySelector("button").focus();
            },
            { class: "head", title: column.words ? null : labelOf(column.key) },
          ),
        );
      }),
    );
  },

  /** Filters and sorts. A wrong expression leaves the rows as they were. */
  arrange() {
    const run = this.run;
    let test;
    try {
      test = filterOf(view.filter, this.columns);
      this.input.removeAttribute("aria-invalid");
    } catch (error) {
      if (!(error instanceof FilterError)) throw error;
      this.input.setAttribute("aria-invalid", "true");
      this.answer.textContent = error.message;
      if (this.rows && this.arranged === run) return;
      test = () => true;
    }
    let place = 0;
    const read = (column) => column.read(place);
    const rows = [];
    for (; place < run.size; place += 1) if (test(read)) rows.push(place);
    const column = this.columns.find((one) => one.key === view.sort.column) || this.columns[0];
    const values = new Array(run.size);
    for (const row of rows) values[row] = column.read(row);
    const sign = view.sort.down ? -1 : 1;
    rows.sort((a, b) => {
      const [left, right] = [values[a], values[b]];
      // Rows without a value stand last in either direction.
      if (!known(left) || !known(right)) return (known(right) ? 1 : 0) - (known(left) ? 1 : 0) || a - b;
      if (left === right) return a - b;
      return (
        sign *
        (typeof left === "number" && typeof right === "number"
          ? left - right
          : String(left) < String(right)
            ? -1
            : 1)
      );
    });
    this.rows = rows;
    this.arranged = run;
    if (!this.input.hasAttribute("aria-invalid")) {
      this.answer.textContent =
        rows.length === run.size
          ? plural(run.size, "network")
          : `${rows.length.toLocaleString("en-GB")} of ${plural(run.size, "network")}`;
    }
    this.paint(true);
  },

  paint(again) {
    if (!this.rows) return;
    const high = this.window.clientHeight || 400;
    const first = Math.max(0, Math.floor(this.window.scrollTop / ROW) - 8);
    const last = Math.min(this.rows.length, first + Math.ceil(high / ROW) + 16);
    if (!again && this.first === first && this.last === last) return;
    [this.first, this.last] = [first, last];
    const gap = (rows) =>
      rows > 0
        ? el(
            "tr",
            { class: "gap", "aria-hidden": "true" },
            el("td", { colspan: this.chosen.length, style: `height:${rows * ROW}px` }),
          )
        : null;
    const chosen = selected(this.model);
    const focused =
      document.activeElement && this.body.contains(document.activeElement)
        ? document.activeElement.dataset.place
        : null;
    const rows = [gap(first)];
    for (const place of this.rows.slice(first, last)) {
      rows.push(
        el(
          "tr",
          {
            "data-evaluation": this.run.imports.has(place) ? null : this.run.evaluations[place],
            "data-place": place,
            tabindex: -1,
            class: chosen && chosen.run === this.run && chosen.place === place ? "selected" : null,
          },
          this.chosen.map((column) => el("td", { class: column.words ? "words" : null }, column.show(place))),
        ),
      );
    }
    rows.push(gap(this.rows.length - last));
    this.body.replaceChildren(...rows.filter(Boolean));
    this.table.setAttribute("aria-rowcount", this.rows.length);
    if (focused !== null)
      this.body.querySelector(`tr[data-place="${focused}"]`)?.focus({ preventScroll: true });
  },

  markSelection() {
    if (this.rows) this.paint(true);
  },

  /** Arrows go from row to row, Enter opens. */
  key(event) {
    const row = document.activeElement.closest("tr[data-place]");
    if (event.key === "Enter" && row) openNetwork(this.run, Number(row.dataset.place));
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const now = row ? this.rows.indexOf(Number(row.dataset.place)) : -1;
      const next = Math.max(
        0,
        Math.min(this.rows.length - 1, row ? now + (event.key === "ArrowDown" ? 1 : -1) : this.first || 0),
      );
      const top = next * ROW;
      if (top < this.window.scrollTop) this.window.scrollTop = top;
      if (top + 2 * ROW > this.window.scrollTop + this.window.clientHeight - ROW)
        this.window.scrollTop = top + 3 * ROW - this.window.clientHeight;
      this.paint();
      this.body.querySelector(`tr[data-place="${this.rows[next]}"]`)?.focus({ preventScroll: true });
    } else return;
    event.preventDefault();
  },

  csv() {
    const cell = (value) =>
      known(value)
        ? /[",\r\n]/.test(String(value))
          ? '"' + String(value).replace(/"/g, '""') + '"'
          : String(value)
        : "";
    const lines = [this.chosen.map((column) => cell(column.key)).join(",")];
    for (const place of this.rows)
      lines.push(this.chosen.map((column) => cell(column.read(place))).join(","));
    return lines.join("\n") + "\n";
  },
};

/** The columns that a run has values for. */
function columnsOf(run) {
  const networks = run.networks;
  const numeric = (key, read, usual, format = number) => ({
    key,
    read,
    usual,
    words: false,
    show: (place) => (known(read(place)) ? format(read(place)) : ""),
  });
  const worded = (key, read, usual, length = 60) => ({
    key,
    read,
    usual,
    words: true,
    show: (place) => (known(read(place)) && read(place) !== "" ? untrusted(read(place), length) : ""),
  });
  const columns = [
    numeric("evaluation", (place) => run.evaluations[place], true, String),
    {
      ...worded("kind", (place) => kindOf(run, place).words, true),
      show: (place) => [
        symbolMark(kindOf(run, place), colours()[kindOf(run, place).key]),
        " ",
        kindOf(run, place).words,
      ],
    },
    worded("status", (place) => statusOf(run, place), true, 20),
  ];
  for (const name of run.quantities) {
    const values = (networks.values || {})[name] || [];
    columns.push({
      ...numeric(name, (place) => values[place], true, formatOf(name)),
      show: (place) =>
        known(values[place])
          ? withDeviation(values[place], deviationOf(run, name, place), formatOf(name))
          : "",
    });
    if ((networks.deviations || {})[name])
      columns.push(numeric(name + "_std", (place) => deviationOf(run, name, place), false));
  }
  const others = [
    "accuracy",
    "short_accuracy",
    "epochs",
    "train_seconds",
    "measure_seconds",
    "time_ms_p50",
    "time_ms_p95",
    "time_ms_p99",
    "idle_power_mw",
    "power_samples",
  ];
  for (const name of others)
    if (networks[name]) columns.push(numeric(name, (place) => networks[name][place], name === "epochs"));
  if (networks.started_at)
    columns.push({
      ...numeric("started_at", (place) => networks.started_at[place], false),
      show: (place) => (known(networks.started_at[place]) ? dateOf(networks.started_at[place]) : ""),
    });
  if (networks.device) columns.push(worded("device", (place) => deviceOf(run, place), false, 40));
  columns.push(worded("architecture", (place) => architectureOf(run, place), true, 120));
  if (networks.message) columns.push(worded("message", (place) => messageOf(run, place), true, 120));
  run.decisions.forEach((decision, index) =>
    columns.push({
      ...worded(
        decision.name,
        (place) => {
          const text = at(networks.choices, place);
          return typeof text === "string" ? decision.choices[parseInt(text[index], 36)] : undefined;
        },
        false,
        40,
      ),
      words: false,
    }),
  );
  return columns;
}
