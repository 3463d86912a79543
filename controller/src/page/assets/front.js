// The front: two objectives against each other, a third as colour or as a third axis.

const MANY = 2000; // Above so many points, a series is drawn as one shape.

const frontPart = {
  id: "front",
  title: "Front",
  has: (model) => model.quantities.length > 0 && model.runs.some((run) => run.size > 0),

  build(section) {
    this.controls = el("div", { class: "controls" });
    this.box = plotBox("front", { tabindex: 0, keydown: (event) => this.key(event), "aria-describedby": "front-keys" });
    this.turner = makeTurner();
    this.kinds = el("div", { class: "kinds" });
    this.scale = el("div", { class: "kinds" });
    this.note = el("p", { class: "note" });
    section.append(this.controls, this.box, this.turner.element, this.kinds, this.scale, this.note,
      el("p", { id: "front-keys", class: "note quiet" }, "A click opens a network.", el("span", { class: "keys" }, " Ctrl + wheel zooms, dragging moves; keys: ← → along the front, in 3-D turning, Enter, Escape.")));
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
    const state = JSON.stringify([order, view.x, view.y, view.z, view.colour, view.bars, view.logX, view.logY]);
    if (state === this.state) return; // A list that is open stays open during an update.
    this.state = state;
    this.logTicks = [tick("log x", false, (on) => this.setLog("logX", on)), tick("log y", false, (on) => this.setLog("logY", on))];
    this.wholeButton = button("", () => {
      view.whole = !view.whole;
      this.update(this.model);
    }, { class: "small" });
    this.controls.replaceChildren(
      choice("x", options, view.x, set("x")), choice("y", options, view.y, set("y")),
      options.length > 2 ? choice("third axis", [["", "none (2-D)"], ...options], view.z, set("z")) : "",
      options.length > 1 ? choice("colour", [["", "kind of network"], ...options], view.colour, set("colour")) : "",
      view.z ? "" : choice("bars", [["1", "± σ"], ["2", "± 2 σ"], ["0", "none"]], String(view.bars), (value) => {
        view.bars = Number(value);
        this.update(this.model);
      }),
      ...this.logTicks, this.wholeButton,
    );
  },

  setLog(name, on) {
    view[name] = on;
    this.update(this.model);
  },

  drawKinds() {
    const counts = this.points.counts;
    const several = this.model.drawn.length > 1;
    this.kinds.replaceChildren(...KINDS.map((kind, index) => ({ kind, index })).reverse()
      .filter(({ index }) => counts[index] > 0)
      .map(({ kind, index }) => {
        const shown = !view.hiddenKinds.has(kind.key);
        const mark = symbolMark(kind, several || view.colour ? colours().soft : colours()[kind.key]);
        return el("button", { type: "button", class: "kind", "aria-pressed": String(shown), title: shown ? "Hide these" : "Show these",
          click: () => {
            if (shown) view.hiddenKinds.add(kind.key);
            else view.hiddenKinds.delete(kind.key);
            this.update(this.model);
          } }, mark, `${kind.words} (${counts[index].toLocaleString("en-GB")})`);
      }));
    this.scale.replaceChildren(...this.points.bins.map((bin, index) =>
      el("span", { class: "kind flat" }, swatch(colours().scale[index]), `${valueText(view.colour, bin[0])} to ${valueText(view.colour, bin[1])}`)));
    if (this.points.bins.length) this.scale.prepend(el("span", { class: "kind flat" }, labelOf(view.colour) + ":"));
    else if (several) this.scale.append(...this.model.drawn.map((run) => el("span", { class: "kind flat" }, swatch(runColour(run.index)), short(run.name, 40))));
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
      ? groups.reduce((sum, group) => sum + group.data.filter(([x, y]) => !ranges[0].holds(x) || !ranges[1].holds(y)).length, 0) : 0;
    this.wholeButton.textContent = view.whole ? "show the interesting range" : "show all";
    this.wholeButton.hidden = !view.whole && outside === 0;
    const missing = this.points.missing;
    this.note.textContent = [
      !view.whole && outside > 0 ? `${plural(outside, "network")} beyond these axes.` : "",
      missing > 0 ? `${plural(missing, "network")} without a value on one of these axes.` : "",
      this.points.counts[KIND.short] > 0 && (view.x === "error" || view.y === "error") ? "The error of a network trained short is that after its short training." : "",
    ].filter(Boolean).join(" ");

    const total = groups.reduce((sum, group) => sum + group.data.length, 0);
    const series = groups.map((group) => scatter(group, total));
    for (const run of this.model.drawn) series.unshift(...this.frontLine(run));
    series.push(...this.bars(), ...this.bounds(ranges), ...this.selection());
    const chart = draw("front", this.box, {
      xAxis: axis(labelOf(view.x), { ...ranges[0].axis, format: formatOf(view.x), log: logX }),
      yAxis: axis(labelOf(view.y), { ...ranges[1].axis, format: formatOf(view.y), log: logY, nameGap: 44 }),
      // One finger scrolls the page; a mouse moves the plot.
      dataZoom: [0, 1].map((index) => ({
        id: "zoom" + index, type: "inside", [index === 0 ? "xAxisIndex" : "yAxisIndex"]: 0, filterMode: "none",
        zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, moveOnMouseMove: !matchMedia("(pointer: coarse)").matches,
        ...(view.zoomed ? {} : { start: 0, end: 100 }),
      })),
      tooltip: hint((point) => {
        const network = networkAt(this.model, point);
        return network ? networkTip(this.model, ...network) : "";
      }),
      series,
    }, this.sentence());
    if (!chart.isReady) {
      chart.isReady = true;
      chart.on("click", (point) => {
        const network = networkAt(this.model, point);
        if (network) openNetwork(...network);
      });
      chart.on("datazoom", () => (view.zoomed = true));
    }
  },

  /** The staircase of a front in the two objectives. */
  frontLine(run) {
    if (view.hiddenKinds.has("front")) return [];
    const members = run.front.map((member) => [member.objectives[view.x], member.objectives[view.y]]).filter((point) => point.every(known));
    if (members.length < 2) return [];
    const colour = this.model.drawn.length > 1 ? runColour(run.index) : colours().front;
    return [{
      id: `line ${run.index}`, type: "line", step: "end", silent: true, showSymbol: false, z: 3, data: staircase(members),
      lineStyle: { color: colour, width: 1.5, opacity: 0.6 }, tooltip: { show: false },
    }];
  },

  bars() {
    if (!view.bars) return [];
    const rows = [];
    const add = (run, place) => {
      if (place === undefined) return;
      const [x, y] = [valueOf(run, view.x, place), valueOf(run, view.y, place)];
      const [wide, high] = [deviationOf(run, view.x, place), deviationOf(run, view.y, place)];
      if (known(x) && known(y) && (known(wide) || known(high))) rows.push([x, y, view.bars * (wide || 0), view.bars * (high || 0)]);
    };
    if (!view.hiddenKinds.has("front")) {
      for (const run of this.model.drawn) for (const member of run.front) add(run, run.places.get(member.evaluation));
    }
    const chosen = selected(this.model);
    if (chosen && !chosen.run.members.has(chosen.run.evaluations[chosen.place])) add(chosen.run, chosen.place);
    return [errorBars("bars", rows, colours().soft)];
  },

  /** The bounds of the run that is shown: a line, and a shade over what breaks it. */
  bounds(ranges) {
    const bounds = (this.model.shown && this.model.shown.run.bounds) || {};
    const palette = colours();
    const lines = [];
    const areas = [];
    const put = (name, key, range) => {
      const bound = bounds[name];
      if (!known(bound) || !range.holds(bound)) return;
      const words = `bound ${valueText(name, bound)}`;
      lines.push({ [key]: bound, label: { formatter: words, color: palette.soft, position: key === "xAxis" ? "insideEndTop" : "insideEndTop" } });
      areas.push([{ [key]: bound }, { [key]: range.axis.max }]);
    };
    put(view.x, "xAxis", ranges[0]);
    put(view.y, "yAxis", ranges[1]);
    return [{
      id: "bounds", type: "scatter", data: [], silent: true, z: 1,
      markLine: { silent: true, symbol: "none", animation: false, lineStyle: { color: palette.soft, type: "dashed", width: 1.5 }, data: lines },
      markArea: { silent: true, animation: false, itemStyle: { color: palette.shade }, data: areas },
    }];
  },

  selection() {
    const chosen = selected(this.model);
    const point = chosen && [valueOf(chosen.run, view.x, chosen.place), valueOf(chosen.run, view.y, chosen.place)];
    return [{
      id: "selected", type: "scatter", silent: true, z: 8, symbol: "circle", symbolSize: 20, clip: true,
      itemStyle: { color: "transparent", borderColor: colours().text, borderWidth: 2 },
      data: point && point.every(known) ? [point] : [],
    }];
  },

  markSelection() {
    if (!this.points) return;
    if (view.z) this.turner.paint();
    else page.charts.front.setOption({ series: [...this.bars(), ...this.selection()] });
  },

  drawSolid() {
    this.logTicks.forEach((label) => (label.querySelector("input").disabled = false));
    const axes = [view.x, view.y, view.z].map((name, index) => ({
      name: labelOf(name), format: formatOf(name), ...rangeOf(this.points, index, [view.logX, view.logY, null][index]),
    }));
    this.logTicks.forEach((label, index) => (label.querySelector("input").checked = axes[index].log));
    const outside = this.points.groups.reduce((sum, group) => sum + group.data.filter((point) => axes.some((one, index) => !one.holds(point[index === 2 ? 3 : index]))).length, 0);
    this.wholeButton.textContent = view.whole ? "show the interesting range" : "show all";
    this.wholeButton.hidden = !view.whole && outside === 0;
    this.note.textContent = outside > 0 && !view.whole ? `${plural(outside, "network")} beyond these axes.` : "";
    this.turner.update(this.model, this.points.groups, axes, this.sentence());
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const list = this.model.drawn.flatMap((run) => run.front
        .map((member) => ({ run, place: run.places.get(member.evaluation), x: member.objectives[view.x] }))
        .filter((entry) => entry.place !== undefined && known(entry.x)).sort((a, b) => a.x - b.x));
      if (!list.length) return;
      const chosen = selected(this.model);
      const now = chosen ? list.findIndex((entry) => entry.run === chosen.run && entry.place === chosen.place) : -1;
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
      const members = run.front.filter((member) => known(member.objectives[view.x]) && known(member.objectives[view.y]));
      if (!members.length) return `${short(run.name)} has no front.`;
      const sorted = [...members].sort((a, b) => a.objectives[view.x] - b.objectives[view.x]);
      const words = (member) => `${valueText(view.x, member.objectives[view.x])} with ${OBJECTIVES[view.y]?.name || short(view.y)} ${valueText(view.y, member.objectives[view.y])}`;
      const ends = sorted.length > 1 ? `, from ${words(sorted[0])} to ${words(sorted[sorted.length - 1])}` : `: ${words(sorted[0])}`;
      return `The front of ${short(run.name)} has ${plural(members.length, "member")}${ends}.`;
    });
    return `Scatter plot of ${plural(all, "network")}: ${axes}. ${fronts.slice(0, 6).join(" ")}`;
  },
};

/** The points of all runs that are drawn, as groups of one run, kind and colour. A point is [x, y, place, z, colour]. */
function pointsOf(model) {
  const counts = new Array(KINDS.length).fill(0);
  const groups = new Map();
  const rows = [];
  let missing = 0;
  const several = model.drawn.length > 1;
  for (const run of model.drawn) {
    for (let place = 0; place < run.size; place += 1) {
      const x = valueOf(run, view.x, place);
      const y = valueOf(run, view.y, place);
      const z = view.z ? valueOf(run, view.z, place) : 0;
      const hue = view.colour ? valueOf(run, view.colour, place) : null;
      if (!known(x) || !known(y) || !known(z)) {
        missing += 1;
        continue;
      }
      counts[run.kinds[place]] += 1;
      rows.push([run, x, y, place, z, hue]);
    }
  }
  const bins = view.colour ? binsOf(rows.map((row) => row[5]).filter(known)) : [];
  for (const [run, x, y, place, z, hue] of rows) {
    const kind = run.kinds[place];
    if (view.hiddenKinds.has(KINDS[kind].key)) continue;
    let bin = -1;
    if (bins.length && known(hue)) bin = Math.max(0, bins.findIndex(([, high]) => hue <= high));
    const key = (kind * 100 + run.index) * 100 + bin + 1;
    let group = groups.get(key);
    if (!group) {
      const palette = colours();
      const colour = bins.length ? (bin < 0 ? palette.measured : palette.scale[bin]) : several ? runColour(run.index) : palette[KINDS[kind].key];
      group = { key, run, kind: KINDS[kind], kindIndex: kind, colour, outlined: bins.length > 0, data: [] };
      groups.set(key, group);
    }
    group.data.push([x, y, place, z]);
  }
  return { groups: [...groups.values()].sort((a, b) => a.key - b.key), counts, bins, missing };
}

/** Ranges with about as many values each. */
function binsOf(values) {
  const sorted = values.sort((a, b) => a - b);
  if (!sorted.length) return [];
  const wanted = Math.min(PALETTES.light.scale.length, sorted.length);
  const bins = [];
  let low = sorted[0];
  for (let index = 1; index <= wanted; index += 1) {
    const high = sorted[Math.ceil((index * sorted.length) / wanted) - 1];
    if (bins.length && high <= bins[bins.length - 1][1]) continue;
    bins.push([low, high]);
    low = high;
  }
  return bins;
}

function scatter(group, total) {
  const large = group.data.length > MANY;
  const [front, few] = [group.kind.key === "front", ["front", "beyond", "failed"].includes(group.kind.key)];
  // A large series draws plain shapes only.
  const plain = { pin: "rect", emptyCircle: "circle" }[group.kind.symbol] || (group.kind.symbol.startsWith("path") ? "triangle" : group.kind.symbol);
  const hollow = !large && ["short", "failed"].includes(group.kind.key);
  const size = group.kind.size * (total > 400 ? 0.8 : 1);
  return {
    id: `networks ${group.run.index} ${group.kindIndex} ${group.key}`, name: `${group.run.index}:${group.kind.key}`, type: "scatter",
    data: group.data, large, largeThreshold: MANY, clip: true, z: 2 + (front ? 3 : 0),
    symbol: large || group.kind.key === "short" ? plain : group.kind.symbol, symbolSize: total > MANY && !few ? 3 : size,
    itemStyle: {
      color: hollow ? "transparent" : group.colour, opacity: front ? 1 : large ? 0.5 : 0.75,
      ...(front ? { borderColor: colours().back, borderWidth: 1 } : hollow ? { borderColor: group.colour, borderWidth: 1.5 } : {}),
    },
    encode: { x: 0, y: 1 },
    emphasis: { scale: 1.4 },
  };
}

/** The range of an axis: all values, or what is interesting: the front, and the bulk of the networks that keep the bounds. */
function rangeOf(points, index, wantedLog) {
  const dimension = index === 2 ? 3 : index;
  const [all, good, fronts] = [[], [], []];
  const bounds = (page.model.shown && page.model.shown.run.bounds) || {};
  const limits = [[0, bounds[view.x]], [1, bounds[view.y]], [3, bounds[view.z]]].filter(([, bound]) => known(bound));
  for (const group of points.groups) {
    const set = group.kind.key === "front" ? fronts : ["beyond", "useless", "failed"].includes(group.kind.key) ? null : good;
    for (const point of group.data) {
      all.push(point[dimension]);
      // A short training says little of the error after a full one, yet its points belong to the picture up to the bound.
      if (set === fronts || (set && limits.every(([at, bound]) => point[at] <= bound))) set.push(point[dimension]);
    }
  }
  all.sort((a, b) => a - b);
  if (!all.length) return { low: 0, high: 1, log: false, limited: false, holds: () => true, axis: {} };
  let [low, high] = [all[0], all[all.length - 1]];
  const useful = good.concat(fronts).sort((a, b) => a - b);
  if (!view.whole && useful.length > 4) {
    const scale = useful[0] > 0 && useful[useful.length - 1] / useful[0] > 25 ? [Math.log, Math.exp] : [(v) => v, (v) => v];
    const [q1, q3] = [0.25, 0.75].map((share) => scale[0](quantile(useful, share)));
    const fence = scale[1](q3 + 2.5 * (q3 - q1));
    const inside = useful.filter((value) => value <= fence);
    high = Math.max(inside[inside.length - 1], fronts.reduce((most, value) => Math.max(most, value), -Infinity));
    low = useful[0];
    // A bound that is near enough is in the picture.
    const bound = bounds[[view.x, view.y, view.z][index]];
    if (known(bound) && bound < all[all.length - 1] && bound <= high + 0.6 * (high - low)) high = Math.max(high, bound + 0.1 * (bound - low));
  }
  const limited = low > all[0] || high < all[all.length - 1];
  const log = low > 0 && (wantedLog ?? high / low > 25);
  let [from, to] = log ? [low / Math.pow(high / low || 2, 0.04), high * Math.pow(high / low || 2, 0.04)] : [low - 0.04 * (high - low), high + 0.04 * (high - low)];
  if (from === to) [from, to] = [low - Math.abs(low) * 0.1 - 1e-9, high + Math.abs(high) * 0.1 + 1e-9];
  if (low >= 0 && from < 0) from = 0;
  const ticks = ticksOf(from, to, log);
  const custom = { customValues: ticks };
  return {
    low, high, log, limited, from, to, ticks,
    holds: (value) => value >= from && value <= to,
    axis: { min: from, max: to, axisLabel: { color: colours().soft, hideOverlap: true, ...custom, formatter: tickFormat(ticks, index) }, axisTick: custom, minorTick: { show: false } },
  };
}

function tickFormat(ticks, index) {
  const name = [view.x, view.y, view.z][index];
  return (value) => formatOf(name)(Number(value.toPrecision(6)));
}

/** Round numbers within a range; 1, 2 and 5 of each decade on a logarithmic axis. */
function ticksOf(from, to, log) {
  const ticks = [];
  if (log) {
    const wide = Math.log10(to / from) > 4;
    for (let decade = Math.floor(Math.log10(from)); decade <= Math.log10(to); decade += 1) {
      for (const digit of wide ? [1] : [1, 2, 5]) {
        const value = Number((digit * 10 ** decade).toPrecision(3));
        if (value >= from && value <= to) ticks.push(value);
      }
    }
    return ticks;
  }
  const rough = (to - from) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  for (let value = Math.ceil(from / step) * step; value <= to + step * 1e-9; value += step) ticks.push(Number(value.toPrecision(10)));
  return ticks;
}

function networkAt(model, point) {
  const match = /^networks (\d+) /.exec(point.seriesId || "");
  return match && point.value ? [model.runs[Number(match[1])], point.value[2]] : null;
}
