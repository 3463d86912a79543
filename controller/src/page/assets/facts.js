// The head of the page, the members of the front in numbers, and the facts of the run.

const headPart = {
  build(section) {
    this.title = el("h1", null);
    this.state = el("span", { class: "badge", role: "status" });
    this.link = el(
      "span",
      { class: "badge warn", role: "status", hidden: true },
      "not connected, trying again",
    );
    this.theme = button(
      "",
      () => {
        const next = { auto: "light", light: "dark", dark: "auto" }[theme.chosen || "auto"] || "auto";
        theme.chosen = next;
        store("theme", next);
        refresh();
      },
      { id: "theme" },
    );
    this.picker = el("span", null);
    this.words = el("p", { class: "summary" });
    this.notes = el("div", null);
    section.append(
      el(
        "div",
        { class: "bar" },
        this.title,
        this.state,
        this.link,
        el("span", { class: "spring" }),
        this.picker,
        this.theme,
      ),
      this.words,
      this.notes,
    );
  },

  update(model) {
    const run = model.shown;
    const name =
      model.runs.length === 1
        ? short(run.name, 120)
        : model.runs.length
          ? plural(model.runs.length, "run")
          : "No run";
    document.title = `${name} · architecture search`;
    this.title.replaceChildren(el("bdi", null, name));
    const running = model.runs.filter((one) => one.run.state === "running").length;
    const states = [
      ...new Set(
        model.runs.map((one) => one.run.state).filter((state) => known(state) && state !== "unknown"),
      ),
    ];
    this.state.hidden = states.length === 0;
    this.state.className = "badge" + (running ? " running" : "");
    this.state.textContent =
      running && model.several ? `${running} running` : states.length === 1 ? short(states[0], 20) : "";
    if (!this.state.textContent) this.state.hidden = true;
    this.theme.textContent = { light: "light", dark: "dark" }[theme.chosen] || "automatic";
    this.theme.setAttribute("aria-label", `Colours: ${this.theme.textContent}. Press to change.`);
    this.theme.title = "Light, dark, or as the system has it";
    const state = JSON.stringify([model.runs.map((one) => one.name), run && run.name]);
    if (state !== this.pickerState) {
      this.pickerState = state;
      this.picker.replaceChildren(
        model.several
          ? choice(
              "details of",
              model.runs.map((one) => [one.name, short(one.name, 40)]),
              run.name,
              (value) => {
                view.run = value;
                refresh();
              },
            )
          : "",
      );
    }
    this.words.replaceChildren(...(run ? summaryOf(run, model) : ["There is no run to show."]));
    this.notes.replaceChildren(
      ...(run
        ? (run.run.notes || []).map((note) =>
            el("p", { class: "message" }, el("strong", null, "Note: "), untrusted(note)),
          )
        : []),
    );
  },
};

function summaryOf(run, model) {
  const data = run.run;
  if (run.size === 0)
    return [model.several ? `${short(run.name, 60)}: ` : "", "No network has been evaluated yet."];
  const [partly, again] = [data.not_trained_in_full || 0, data.remeasurements || 0];
  const beyond = (data.beyond_bounds || []).length;
  const text = [
    model.several ? `${short(run.name, 60)}: ` : "",
    plural(data.evaluations ?? run.size, "evaluation"),
    again ? `, ${again.toLocaleString("en-GB")} of them repeated measurements` : "",
    partly ? `; ${plural(partly, "network")} not trained in full` : "",
    beyond ? `; ${beyond.toLocaleString("en-GB")} beyond a bound` : "",
    `. ${run.front.length ? `The front has ${plural(run.front.length, "member")}` : "There is no front yet"}`,
    known(data.hypervolume_share) ? `; hypervolume ${number(data.hypervolume_share)} of the box.` : ".",
  ].join("");
  const failed = run.kinds.reduce((sum, kind) => sum + (kind === KIND.failed ? 1 : 0), 0);
  return [
    text,
    failed ? el("span", null, ` ${plural(failed, "network")} failed: the table has the messages. `) : "",
    failed === run.size ? el("strong", null, "No network succeeded.") : "",
  ];
}

const membersPart = {
  id: "members",
  title: "Pareto front",
  has: (model) => model.shown !== null && model.shown.front.length > 0,
  build(section) {
    this.body = el("div", { class: "scroll" });
    section.append(this.body);
  },
  update(model) {
    const run = model.shown;
    const first = run.objectives[0];
    const members = [...run.front].sort(
      (a, b) => (a.objectives[first] ?? Infinity) - (b.objectives[first] ?? Infinity),
    );
    const noise = members.some((member) => (member.within_noise_of || []).length);
    const models = members.some((member) => member.model);
    const again = members.some((member) => member.measurements > 1);
    const head = [
      "network",
      ...run.objectives.map(briefOf),
      again ? "measurements" : null,
      noise ? "within noise of" : null,
      models ? "model" : null,
    ].filter(Boolean);
    const rows = members.slice(0, 500).map((member) =>
      el(
        "tr",
        null,
        el(
          "td",
          null,
          button(
            member.evaluation,
            () => run.places.has(member.evaluation) && openNetwork(run, run.places.get(member.evaluation)),
            { class: "link" },
          ),
          member.feasible === false ? " (breaks a bound)" : "",
        ),
        run.objectives.map((name) =>
          el(
            "td",
            null,
            withDeviation(member.objectives[name], (member.deviations || {})[name], formatOf(name)),
          ),
        ),
        again ? el("td", null, number(member.measurements)) : null,
        noise
          ? el(
              "td",
              null,
              (member.within_noise_of || []).slice(0, 12).join(", ") +
                ((member.within_noise_of || []).length > 12 ? " …" : ""),
            )
          : null,
        models
          ? el("td", { class: "words" }, member.model ? el("code", null, untrusted(member.model, 80)) : "")
          : null,
      ),
    );
    this.body.replaceChildren(
      el(
        "table",
        { class: "grid" },
        tableHead(head.map((word) => el("th", { scope: "col", class: word === "model" ? "words" : null }, word))),
        el("tbody", null, rows),
      ),
    );
  },
};

const factsPart = {
  id: "facts",
  title: "Facts",
  has: (model) =>
    model.shown !== null &&
    ((model.shown.run.facts || []).length > 0 || (model.shown.run.settings || []).length > 0),
  build(section) {
    this.body = el("div", null);
    section.append(this.body);
  },
  update(model) {
    const run = model.shown;
    const pair = ([key, value]) => [
      el("dt", null, untrusted(key, 60)),
      el("dd", null, untrusted(value, 600)),
    ];
    const open = this.body.querySelector("details")?.open;
    const facts = [...(run.run.facts || [])];
    if (run.run.folder) facts.push(["folder", run.run.folder]);
    const settings = run.run.settings || [];
    this.body.replaceChildren(
      el("dl", { class: "facts" }, facts.map(pair)),
      settings.length
        ? el(
            "details",
            { open },
            el("summary", null, `All settings (${settings.length})`),
            el("dl", { class: "facts" }, settings.map(pair)),
          )
        : "",
      el(
        "p",
        { class: "note quiet" },
        `Written by ${short(model.document.program || "controller", 60)}, ${short(model.document.generated_at || "", 40)}.`,
      ),
    );
  },
};
