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
  const jobs = (watch.jobs || []).map((job) =>
    el(
      "tr",
      null,
      el("td", null, known(job.evaluation) ? job.evaluation : "–"),
      el("td", null, untrusted(job.stage || "", 30)),
      el(
        "td",
        null,
        known(job.epoch) ? `epoch ${job.epoch}${known(job.epochs) ? " of " + job.epochs : ""}` : "",
      ),
      el("td", null, known(job.seconds) ? duration(job.seconds) : ""),
      el("td", null, untrusted(job.text || "", 160)),
    ),
  );
  const workers = (watch.workers || []).map((worker) =>
    el(
      "tr",
      null,
      el("td", null, untrusted(worker.name || "", 60)),
      el("td", null, untrusted(worker.state || "", 30)),
      el("td", null, known(worker.jobs) ? plural(worker.jobs, "job") : ""),
      el("td", null, untrusted(worker.text || "", 200)),
    ),
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
      table("Jobs under way", ["network", "job", "epoch", "since", ""], jobs),
      table("Devices and workers", ["name", "state", "jobs", ""], workers),
    ),
  );
}
