// From the document to runs with columns that the parts of the page read.

/** Kinds of networks in the order in which they are drawn; the last lies on top. */
const KINDS = [
  { key: "imported", words: "imported", symbol: "rect", size: 6 },
  { key: "measured", words: "measured, not trained", symbol: "circle", size: 4 },
  { key: "failed", words: "failed", symbol: "path://M-1,-1L1,1M-1,1L1,-1", size: 8 },
  { key: "useless", words: "no better than one class", symbol: "pin", size: 8 },
  { key: "beyond", words: "beyond a bound", symbol: "triangle", size: 7 },
  { key: "short", words: "trained short", symbol: "emptyCircle", size: 6 },
  { key: "complete", words: "evaluated", symbol: "circle", size: 6 },
  { key: "front", words: "Pareto front", symbol: "diamond", size: 12 },
];
const KIND = Object.fromEntries(KINDS.map((kind, index) => [kind.key, index]));

/** A run of the document with its columns ready to be read by place. */
function readRun(run, index) {
  const networks = run.networks || {};
  const evaluations = networks.evaluation || [];
  const objectives = run.objectives || [];
  const values = networks.values || {};
  const self = {
    run,
    index,
    networks,
    evaluations,
    objectives,
    name: known(run.name) && run.name !== "" ? String(run.name) : `run ${index + 1}`,
    size: evaluations.length,
    front: (run.front || []).map((member) => ({ ...member, objectives: member.objectives || {} })),
    quantities: [...new Set([...objectives, ...Object.keys(values)])],
    decisions: (run.space && run.space.decisions) || [],
    places: new Map(evaluations.map((evaluation, place) => [evaluation, place])),
    members: new Map(),
  };
  for (const member of self.front) self.members.set(member.evaluation, member);
  self.imports = new Set(networks.imported || []);
  // An import may have the number of an evaluation: the evaluation has the number then.
  for (const place of self.imports)
    if (self.places.get(evaluations[place]) === place) {
      const other = evaluations.findIndex(
        (number, at) => number === evaluations[place] && !self.imports.has(at),
      );
      if (other >= 0) self.places.set(evaluations[place], other);
    }
  self.kinds = kindsOf(self);
  return self;
}

function kindsOf(self) {
  const { run, networks, size, objectives } = self;
  const beyond = new Set(run.beyond_bounds || []);
  const useless = new Set(run.no_better_than_one_class || []);
  const values = networks.values || {};
  const columns = objectives.map((name) => values[name]);
  const limits = objectives.map((name) => (run.bounds || {})[name]);
  const breaks = (place) => columns.some((column, index) => known(limits[index]) && at(column, place) > limits[index]);
  const incomplete = (place) => {
    for (const column of columns) if (!known(at(column, place))) return true;
    return false;
  };
  const kinds = new Uint8Array(size);
  for (let place = 0; place < size; place += 1) {
    const evaluation = self.evaluations[place];
    const status = statusOf(self, place);
    let kind = "complete";
    if (self.imports.has(place)) kind = "imported";
    else if (self.members.has(evaluation)) kind = "front";
    else if (status === "failed" || status === "diverged") kind = "failed";
    else if (status === "bounded" || beyond.has(evaluation) || breaks(place)) kind = "beyond";
    else if (useless.has(evaluation)) kind = "useless";
    else if (known(at(networks.short_accuracy, place)) && !known(at(values.error, place))) kind = "short";
    else if (status === "stopped") kind = "short";
    else if (status === "measured" || incomplete(place)) kind = "measured";
    kinds[place] = KIND[kind];
  }
  return kinds;
}

const at = (column, place) => (column ? column[place] : undefined);
const statusOf = (self, place) => (self.run.statuses || [])[at(self.networks.status, place)] || "";
const kindOf = (self, place) => KINDS[self.kinds[place]];
const messageOf = (self, place) => (self.run.messages || [])[at(self.networks.message, place)];
const deviceOf = (self, place) => (self.run.devices || [])[at(self.networks.device, place)];
const keyOf = (self, place) =>
  self.imports.has(place) ? "import " + place : String(self.evaluations[place]);

function placeOf(self, key) {
  if (String(key).startsWith("import ")) return Number(String(key).slice(7));
  return self.places.get(Number(key));
}

/** The value of a quantity. The error after a short training stands for that of a network trained short. */
function valueOf(self, quantity, place) {
  const value = at((self.networks.values || {})[quantity], place);
  if (known(value)) return value;
  if (quantity === "error" && self.kinds[place] === KIND.short) {
    const accuracy = at(self.networks.short_accuracy, place);
    if (known(accuracy)) return Math.round((1 - accuracy) * 1e12) / 1e12;
  }
  return null;
}

function hasValues(self, quantity) {
  for (let place = 0; place < self.size; place += 1) if (known(valueOf(self, quantity, place))) return true;
  return false;
}

function deviationOf(self, quantity, place) {
  const deviation = at((self.networks.deviations || {})[quantity], place);
  if (known(deviation)) return deviation;
  const member = self.members.get(self.evaluations[place]);
  return member && member.deviations && !self.imports.has(place) ? member.deviations[quantity] : undefined;
}

/** The choices of a network, one number for each decision. */
function choicesOf(self, place) {
  const text = at(self.networks.choices, place);
  return typeof text === "string" ? Array.from(text, (character) => parseInt(character, 36)) : null;
}

function architectureOf(self, place) {
  const choices = choicesOf(self, place);
  const pieces = self.run.space && self.run.space.pieces;
  if (choices && pieces && choices.length === self.decisions.length) {
    let text = pieces[0] || "";
    choices.forEach((picked, index) => {
      text += (self.decisions[index].choices[picked] ?? "?") + (pieces[index + 1] ?? "");
    });
    return text;
  }
  const member = self.members.get(self.evaluations[place]);
  return at(self.networks.architecture, place) ?? (member && member.architecture) ?? "";
}

function readDocument(data) {
  const runs = (data.runs || []).map(readRun);
  const names = new Map();
  for (const run of runs) {
    // Two folders may have one name.
    const before = names.get(run.name) || 0;
    names.set(run.name, before + 1);
    if (before > 0) run.name += ` (${before + 1})`;
  }
  const model = { document: data, runs, several: runs.length > 1 };
  model.drawn = runs.filter((run) => !view.hidden.has(run.name));
  model.shown = runs.find((run) => run.name === view.run) || runs[0] || null;
  model.quantities = [...new Set(runs.flatMap((run) => run.quantities))].filter((quantity) =>
    runs.some((run) => hasValues(run, quantity)),
  );
  model.groups = groupsOf(runs);
  return model;
}

/** Runs that share all settings but the seed, as groups; runs without settings stand alone. */
function groupsOf(runs) {
  const groups = new Map();
  for (const run of runs) {
    const settings = (run.run.settings || []).filter(([key]) => !/(^|\.)seed$/.test(key));
    const key = settings.length ? JSON.stringify([...settings].sort()) : "alone " + run.index;
    if (!groups.has(key)) groups.set(key, { runs: [], index: groups.size });
    groups.get(key).runs.push(run);
  }
  const list = [...groups.values()];
  const differing = differences(runs).filter(({ key }) => !/(^|\.)seed$/.test(key));
  for (const group of list) {
    const first = group.runs[0];
    const words = differing.slice(0, 2).map(({ key, values }) => `${key} = ${values[first.index] ?? "–"}`);
    group.name =
      list.length > 1 && words.length ? words.join(", ") : group.runs.map((run) => run.name).join(", ");
    if (group.runs.length > 1) group.name += ` (${group.runs.length} seeds)`;
  }
  return list;
}

/** Settings that are not the same in all runs. */
function differences(runs) {
  const keys = new Set();
  const maps = runs.map((run) => new Map(run.run.settings || []));
  for (const map of maps) for (const key of map.keys()) keys.add(key);
  const list = [];
  for (const key of keys) {
    const values = maps.map((map) => map.get(key));
    if (values.some((value) => value !== values[0])) list.push({ key, values });
  }
  return list;
}

// Statistics.

function ranks(values) {
  const order = values.map((_, index) => index).sort((a, b) => values[a] - values[b]);
  const found = new Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end += 1;
    for (let index = start; index < end; index += 1) found[order[index]] = (start + end - 1) / 2;
    start = end;
  }
  return found;
}

/** Spearman's rank correlation; null for fewer than three pairs or without any order. */
function rankCorrelation(xs, ys) {
  if (xs.length < 3) return null;
  const [a, b] = [ranks(xs), ranks(ys)];
  const mean = (xs.length - 1) / 2;
  let [both, left, right] = [0, 0, 0];
  for (let index = 0; index < a.length; index += 1) {
    both += (a[index] - mean) * (b[index] - mean);
    left += (a[index] - mean) ** 2;
    right += (b[index] - mean) ** 2;
  }
  return left > 0 && right > 0 ? both / Math.sqrt(left * right) : null;
}

const quantile = (sorted, share) =>
  sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))];

const T_975 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/** The mean and half the width of its 95 % interval. */
function meanAndInterval(values) {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  if (n < 2) return [mean, 0];
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  // Past 30 degrees of freedom, the expansion of Student's quantile about the normal one.
  const t = T_975[n - 2] || 1.96 + 2.4 / (n - 1);
  return [mean, t * Math.sqrt(variance / n)];
}

/** The value of a step curve at x; the points are in ascending order. */
function stepAt(points, x) {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= x) low = middle + 1;
    else high = middle;
  }
  return low > 0 ? points[low - 1][1] : null;
}

/** The points that no other is at least as good as in both coordinates, by x. */
function staircase(points) {
  const found = [];
  for (const point of [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    if (!found.length || point[1] < found[found.length - 1][1]) found.push(point);
  }
  return found;
}
