// What is under way: jobs, devices and workers.

const watchPart = {
  id: "watch",
  title: "Under way",
  has: (model) => model.runs.some((run) => run.run.watch && run.run.state === "running"),
  build(section) {
    this.body = el("div", null);
    section.append(this.body);
  },
  update(model) {
    this.body.replaceChildren(
      ...model.runs
        .filter((run) => run.run.watch && run.run.state === "running")
        .map((run) => watchOf(model, run)),
    );
  },
};

function watchOf(model, run) {
  const watch = run.run.watch;
  const [done, all] = [watch.done, watch.all];
  const words = `${number(done)}${known(all) ? " of " + number(all) : ""} ${short(watch.unit || "evaluations", 30)}`;
  const eta = known(watch.eta_seconds) ? `about ${duration(watch.eta_seconds)} left` : "";
  const bar =
    known(all) && all > 0
      ? el("progress", { max: all, value: Math.min(done, all), "aria-label": words })
      : null;
  const jobs = (watch.jobs || []).map((job) => {
    const epoch = known(job.epoch)
      ? `, epoch ${job.epoch}${known(job.epochs) ? " of " + job.epochs : ""}`
      : "";
    const words = [
      untrusted(job.stage || "", 30),
      epoch,
      job.device ? [" on ", untrusted(job.device, 60)] : "",
    ];
    return rowWithText([known(job.evaluation) ? job.evaluation : "–", words, sinceOf(job)], job.text);
  });
  const devices = (watch.devices || []).map((device) =>
    stateRow(device, known(device.evaluation) ? networkLink(run, device.evaluation) : ""),
  );
  const workers = (watch.workers || []).map((worker) =>
    stateRow(worker, known(worker.jobs) ? plural(worker.jobs, "job") : ""),
  );
  const table = (caption, head, rows) =>
    rows.length
      ? el(
          "div",
          { class: "scroll" },
          el(
            "table",
            { class: "grid" },
            el("caption", null, caption),
            tableHead(head.map((word) => el("th", { scope: "col" }, word))),
            el("tbody", null, rows),
          ),
        )
      : null;
  return el(
    "div",
    { class: "watch" },
    el(
      "p",
      null,
      model.several ? [el("b", null, untrusted(run.name, 80)), ": "] : null,
      words,
      eta ? `, ${eta}` : "",
      known(watch.at) ? el("span", { class: "quiet" }, ` (state of ${dateOf(watch.at)})`) : null,
    ),
    bar,
    el(
      "div",
      { class: "halves" },
      table("Jobs under way", ["network", "job", "for"], jobs),
      table("Devices and workers", ["name", "state", "task", "for"], [...devices, ...workers]),
    ),
  );
}

const sinceOf = (one) => (known(one.seconds) ? duration(one.seconds) : "");

/** A row, and below it what there is to say, as wide as the table. */
const rowWithText = (cells, text) => [
  el(
    "tr",
    { class: text ? "said" : null },
    cells.map((cell) => el("td", null, cell)),
  ),
  text ? el("tr", null, el("td", { class: "text", colspan: cells.length }, untrusted(text, 240))) : null,
];

/** The row of a device or worker. */
function stateRow(one, task) {
  const isWell = !["away", "lost", "refused"].includes(one.state);
  const state = el("span", { class: isWell ? null : "warn" }, untrusted(one.state || "", 30));
  return rowWithText([untrusted(one.name || "", 60), state, task, sinceOf(one)], one.text);
}

/** The number of a network, which opens it once its evaluation is in the journal. */
function networkLink(run, evaluation) {
  const place = run.places.get(evaluation);
  const words = `network ${evaluation}`;
  return place === undefined ? words : button(words, () => openNetwork(run, place), { class: "link" });
}
