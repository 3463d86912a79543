// The front: two objectives against each other, a third as colour or as a third axis.

const frontPart = {
  id: "front",
  title: "Front",
  has: (model) => model.quantities.length > 1,

  build(section) {
    this.controls = el("div", { class: "controls" });
    this.box = plotBox("front", {
      tabindex: 0,
      keydown: (event) => this.key(event),
      "aria-describedby": "front-keys",
    });
    this.turner = makeTurner();
    this.kinds = el("div", { class: "kinds" });
    this.scale = el("div", { class: "kinds" });
    this.note = el("p", { class: "note" });
    section.append(
      this.controls,
      this.box,
      this.turner.element,
      this.kinds,
      this.scale,
      this.note,
      el(
        "p",
        { id: "front-keys", class: "note quiet" },
        "A click opens a network.",
        el(
          "span",
          { class: "keys" },
          " Ctrl + wheel zooms, dragging moves; keys: ← → along the front, in 3-D turning, Enter, Escape.",
        ),
      ),
    );
  },

  update(model) {
    this.model = model;
    const first = (model.shown && model.shown.objectives) || [];
    const usable = (name) => name && model.quantities.includes(name);
    const order = [...first.filter(usable), ...model.quantities.filter((name) => !first.includes(name))];
    if (!usable(view.y)) view.y = order[0];
    if (!usable(view.x)) view.x = order.find((name) => name !== view.y) || order[0];
    if (view.z && !usable(view.z)) view.z = "";
    if (view.colour && !usable(view.colour)) view.colour = "";
    this.drawControls(order);
    this.points = pointsOf(model);
    this.drawKinds();
    const solid = view.z !== "";
    this.box.hidden = solid;
    this.turner.element.hidden = !solid;
    if (solid) this.drawSolid();
    else this.drawFlat();
  },

  drawControls(order) {
    const options = order.map((name) => [name, briefOf(name)]);
    const set = (name) => (value) => {
      view[name] = value;
      if (name === "x") view.logX = null;
      if (name === "y") view.logY = null;
      view.zoomed = false;
      this.update(this.model);
    };
    const state = JSON.stringify([
      order,
      view.x,
      view.y,
      view.z,
      view.colour,
      view.bars,
      view.logX,
      view.logY,
    ]);
    if (state === this.state) return; // A list that is open stays open during an update.
    this.state = state;
    this.logTicks = [
      tick("log x", false, (on) => this.setLog("logX", on)),
      tick("log y", false, (on) => this.setLog("logY", on)),
    ];
    this.wholeButton = button(
      "",
      () => {
        view.whole = !view.whole;
        this.update(this.model);
      },
      { class: "small" },
    );
    this.controls.replaceChildren(
      choice("x", options, view.x, set("x")),
      choice("y", options, view.y, set("y")),
      options.length > 2 ? choice("third axis", [["", "none (2-D)"], ...options], view.z, set("z")) : "",
      options.length > 1
        ? choice("colour", [["", "kind of network"], ...options], view.colour, set("colour"))
        : "",
      choice(
        "bars",
        [
          ["1", "± σ"],
          ["2", "± 2 σ"],
          ["0", "none"],
        ],
        String(view.bars),
        (value) => {
          view.bars = Number(value);
          this.update(this.model);
        },
      ),
      ...this.logTicks,
      this.wholeButton,
    );
  },

  setLog(name, on) {
    view[name] = on;
    this.update(this.model);
  },

  drawKinds() {
    const counts = this.points.counts;
    const several = this.model.drawn.length > 1;
    this.kinds.replaceChildren(
      ...KINDS.map((kind, index) => ({ kind, index }))
        .reverse()
        .filter(({ index }) => counts[index] > 0)
        .map(({ kind, index }) => {
          const shown = !view.hiddenKinds.has(kind.key);
          const mark = symbolMark(kind, several || view.colour ? colours().soft : colours()[kind.key]);
          return el(
            "button",
            {
              type: "button",
              class: "kind",
              "aria-pressed": String(shown),
              title: shown ? "Hide these" : "Show these",
              click: () => {
                if (shown) view.hiddenKinds.add(kind.key);
                else view.hiddenKinds.delete(kind.key);
                this.update(this.model);
              },
            },
            mark,
            `${kind.words} (${counts[index].toLocaleString("en-GB")})`,
          );
        }),
    );
    this.scale.replaceChildren(
      ...this.points.bins.map((bin, index) =>
        el(
          "span",
          { class: "kind flat" },
          swatch(colours().scale[index]),
          `${valueText(view.colour, bin[0])} to ${valueText(view.colour, bin[1])}`,
        ),
      ),
    );
    if (this.points.bins.length)
      this.scale.prepend(el("span", { class: "kind flat" }, labelOf(view.colour) + ":"));
    else if (several)
      this.scale.append(
        ...this.model.drawn.map((run) =>
          el("span", { class: "kind flat" }, swatch(runColour(run.index)), short(run.name, 40)),
        ),
      );
    this.scale.hidden = !this.scale.childElementCount;
  },

  drawFlat() {
    const { groups } = this.points;
    const palette = colours();
    const ranges = [rangeOf(this.points, 0, view.logX), rangeOf(this.points, 1, view.logY)];
    const [logX, logY] = ranges.map((range) => range.log);
    this.logTicks.forEach((label, index) => {
      const box = label.querySelector("input");
      box.checked = ranges[index].log;
      box.disabled = ranges[index].low <= 0;
    });
    const outside = ranges.some((range) => range.limited)
      ? groups.reduce(
          (sum, group) =>
            sum + group.data.filter(([x, y]) => !ranges[0].holds(x) || !ranges[1].holds(y)).length,
          0,
        )
      : 0;
    this.wholeButton.textContent = view.whole ? "show the interesting range" : "show all";
    this.wholeButton.hidden = !view.whole && outside === 0;
    this.note.textContent = this.remarks(outside);

    const total = groups.reduce((sum, group) => sum + group.data.length, 0);
    const series = groups.map((group) => scatter(group, total));
    for (const run of this.model.drawn) series.unshift(...frontLine(this.model, run));
    series.push(
      ...deviationBars(this.model),
      ...boundSeries(this.model, ranges),
      ...selectionRing(this.model),
    );
    const chart = draw(
      "front",
      this.box,
      {
        xAxis: axis(labelOf(view.x), { ...ranges[0].axis, format: formatOf(view.x), log: logX }),
        yAxis: axis(labelOf(view.y), { ...ranges[1].axis, format: formatOf(view.y), log: logY, nameGap: 44 }),
        // One finger scrolls the page; a mouse moves the plot.
        dataZoom: [0, 1].map((index) => ({
          id: "zoom" + index,
          type: "inside",
          [index === 0 ? "xAxisIndex" : "yAxisIndex"]: 0,
          filterMode: "none",
          zoomOnMouseWheel: "ctrl",
          moveOnMouseWheel: false,
          moveOnMouseMove: !matchMedia("(pointer: coarse)").matches,
          ...(view.zoomed ? {} : { start: 0, end: 100 }),
        })),
        tooltip: hint((point) => {
          const network = networkAt(this.model, point);
          return network ? networkTip(this.model, ...network) : "";
        }),
        series,
      },
      this.sentence(),
    );
    if (!chart.isReady) {
      chart.isReady = true;
      chart.on("click", (point) => {
        const network = networkAt(this.model, point);
        if (network) openNetwork(...network);
      });
      chart.on("datazoom", () => (view.zoomed = true));
    }
  },

  /** Which networks the plot does not show, and why. */
  remarks(outside) {
    const { missing, counts } = this.points;
    return [
      !view.whole && outside > 0 ? `${plural(outside, "network")} beyond these axes.` : "",
      missing > 0 ? `${plural(missing, "network")} without a value on one of these axes.` : "",
      counts[KIND.short] > 0 && [view.x, view.y, view.z].includes("error")
        ? "The error of a network trained short is that after its short training."
        : "",
    ]
      .filter(Boolean)
      .join(" ");
  },

  markSelection() {
    if (!this.points) return;
    if (view.z) this.turner.paint();
    else
      page.charts.front.setOption({ series: [...deviationBars(this.model), ...selectionRing(this.model)] });
  },

  drawSolid() {
    this.logTicks.forEach((label) => (label.querySelector("input").disabled = false));
    const axes = [view.x, view.y, view.z].map((name, index) => ({
      name: labelOf(name),
      format: formatOf(name),
      ...rangeOf(this.points, index, [view.logX, view.logY, null][index]),
    }));
    this.logTicks.forEach((label, index) => (label.querySelector("input").checked = axes[index].log));
    const outside = this.points.groups.reduce(
      (sum, group) =>
        sum +
        group.data.filter((point) => axes.some((one, index) => !one.holds(point[index === 2 ? 3 : index])))
          .length,
      0,
    );
    this.wholeButton.textContent = view.whole ? "show the interesting range" : "show all";
    this.wholeButton.hidden = !view.whole && outside === 0;
    this.note.textContent = this.remarks(outside);
    this.turner.update(this.model, this.points.groups, axes, this.sentence());
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const list = this.model.drawn.flatMap((run) =>
        run.front
          .map((member) => ({ run, place: run.places.get(member.evaluation), x: member.objectives[view.x] }))
          .filter((entry) => entry.place !== undefined && known(entry.x))
          .sort((a, b) => a.x - b.x),
      );
      if (!list.length) return;
      const chosen = selected(this.model);
      const now = chosen
        ? list.findIndex((entry) => entry.run === chosen.run && entry.place === chosen.place)
        : -1;
      const step = event.key === "ArrowRight" ? 1 : -1;
      const next = now < 0 ? (step > 0 ? 0 : list.length - 1) : (now + step + list.length) % list.length;
      select(list[next].run, list[next].place);
      announce(networkWords(list[next].run, list[next].place));
    } else if (event.key === "Enter") {
      const chosen = selected(this.model);
      if (chosen) openNetwork(chosen.run, chosen.place);
    } else if (event.key === "Escape") {
      select(null);
    } else return;
    event.preventDefault();
  },

  sentence() {
    const all = this.points.counts.reduce((sum, count) => sum + count, 0);
    const axes = [view.y, view.x, view.z].filter(Boolean).map(labelOf).join(" against ");
    const fronts = this.model.drawn.map((run) => {
      const members = run.front.filter(
        (member) => known(member.objectives[view.x]) && known(member.objectives[view.y]),
      );
      if (!members.length) return `${short(run.name)} has no front.`;
      const sorted = [...members].sort((a, b) => a.objectives[view.x] - b.objectives[view.x]);
      const words = (member) =>
        `${valueText(view.x, member.objectives[view.x])} with ${OBJECTIVES[view.y]?.name || short(view.y)} ${valueText(view.y, member.objectives[view.y])}`;
      const ends =
        sorted.length > 1
          ? `, from ${words(sorted[0])} to ${words(sorted[sorted.length - 1])}`
          : `: ${words(sorted[0])}`;
      return `The front of ${short(run.name)} has ${plural(members.length, "member")}${ends}.`;
    });
    return `Scatter plot of ${plural(all, "network")}: ${axes}. ${fronts.slice(0, 6).join(" ")}`;
  },
};
