// The cell of an architecture as a drawing.

/** The drawings of a network, or an empty list for a space that the page does not know. */
function cellDrawings(run, place) {
  const choices = choicesOf(run, place);
  const space = run.run.space;
  if (!choices || !space || choices.length !== run.decisions.length) return [];
  const chosen = run.decisions.map((decision, index) => String(decision.choices[choices[index]] ?? "?"));
  if (space.name === "nasbench201" && chosen.length === 6) return [edgeCell(chosen)];
  if (space.name === "nasnet") {
    return ["normal", "reduce"].map((cell) => blockCell(cell, run.decisions, chosen)).filter(Boolean);
  }
  if (space.name === "mobile") return [stageChain(run.decisions, chosen)].filter(Boolean);
  return [];
}

function drawing(width, height, words, ...shapes) {
  return el(
    "div",
    { class: "cell" },
    svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words },
      svg(
        "defs",
        null,
        ["live", "dead"].map((kind) =>
          svg(
            "marker",
            {
              id: "tip-" + kind,
              viewBox: "0 0 8 8",
              refX: 7,
              refY: 4,
              markerWidth: 7,
              markerHeight: 7,
              orient: "auto",
            },
            svg("path", { d: "M0 0L8 4L0 8Z", class: "arrow " + kind }),
          ),
        ),
      ),
      ...shapes,
    ),
  );
}

const box = (x, y, width, height, kind) => svg("rect", { x, y, width, height, rx: 6, class: "box " + kind });
const label = (x, y, text, kind = "", anchor = "middle") =>
  svg("text", { x, y, class: kind, "text-anchor": anchor, "dominant-baseline": "central" }, short(text, 26));
const arrow = (d, kind) =>
  svg("path", { d, class: "edge " + kind, "marker-end": `url(#tip-${kind.split(" ")[0]})` });

/** NAS-Bench-201: four nodes; each of six edges has an operation. */
function edgeCell(chosen) {
  const edges = [
    [0, 1],
    [0, 2],
    [1, 2],
    [0, 3],
    [1, 3],
    [2, 3],
  ].map(([from, to], index) => ({ from, to, name: chosen[index] }));
  const works = (edge) => edge.name !== "none";
  const fromInput = new Set([0]);
  for (const edge of edges) if (works(edge) && fromInput.has(edge.from)) fromInput.add(edge.to);
  const toOutput = new Set([3]);
  for (const edge of [...edges].sort((a, b) => b.from - a.from))
    if (works(edge) && toOutput.has(edge.to)) toOutput.add(edge.from);
  const live = (edge) => works(edge) && fromInput.has(edge.from) && toOutput.has(edge.to);
  const x = [52, 232, 412, 592];
  const y = 130;
  // The height of each edge's middle above or below the row of nodes.
  const lift = { "0 1": 0, "1 2": 0, "2 3": 0, "0 2": 74, "1 3": -74, "0 3": -138 };
  const shapes = edges.map((edge) => {
    const kind = live(edge) ? "live" : "dead";
    const up = lift[`${edge.from} ${edge.to}`];
    const [a, b] = [x[edge.from], x[edge.to]];
    const middle = (a + b) / 2;
    const path =
      up === 0
        ? `M${a + 20} ${y}H${b - 22}`
        : `M${a + 8} ${y - Math.sign(up) * 20}C${a + 36} ${y - up * 1.32} ${b - 36} ${y - up * 1.32} ${b - 10} ${y - Math.sign(up) * 20}`;
    const at = up === 0 ? y - 13 : y - up + (up > 0 ? -12 : 14);
    return [arrow(path, kind + (works(edge) ? "" : " none")), label(middle, at, edge.name, kind)];
  });
  const nodes = [0, 1, 2, 3].map((node) => {
    const used = fromInput.has(node) && toOutput.has(node);
    return [
      svg("circle", { cx: x[node], cy: y, r: 20, class: "node " + (used ? "live" : "dead") }),
      label(x[node], y, node === 0 ? "in" : node === 3 ? "out" : String(node), used ? "" : "dead"),
    ];
  });
  const words = edges
    .map((edge) => `node ${edge.from} to ${edge.to}: ${short(edge.name, 30)}${live(edge) ? "" : " (unused)"}`)
    .join("; ");
  return el(
    "figure",
    null,
    drawing(644, 300, "Cell. " + words, shapes, nodes),
    el(
      "figcaption",
      null,
      "The cell: a node is the sum of its arrows. Grey: not on a path from input to output.",
    ),
  );
}

/** NASNet: blocks of two inputs with an operation each; unread blocks are concatenated. */
function blockCell(cell, decisions, chosen) {
  const of = (name) => {
    const index = decisions.findIndex((decision) => decision.name === name);
    return index < 0 ? null : chosen[index];
  };
  const blocks = [];
  for (let number = 1; of(`${cell} block ${number} left input`) !== null; number += 1) {
    blocks.push(
      ["left", "right"].map((side) => ({
        from: Number(of(`${cell} block ${number} ${side} input`)),
        name: of(`${cell} block ${number} ${side} operation`),
      })),
    );
  }
  if (!blocks.length) return null;
  const read = new Set(blocks.flat().map((path) => path.from));
  const unread = blocks.map((_, index) => index + 2).filter((number) => !read.has(number));
  // Forwards: what has a value that depends on an input. Backwards: what the output depends on.
  const fed = [true, true];
  blocks.forEach((paths) => fed.push(paths.some((path) => path.name !== "none" && fed[path.from])));
  const needed = fed.map((_, number) => unread.includes(number));
  for (let number = fed.length - 1; number >= 2; number -= 1) {
    if (needed[number])
      for (const path of blocks[number - 2]) if (path.name !== "none") needed[path.from] = true;
  }
  const livePath = (number, path) => path.name !== "none" && fed[path.from] && needed[number];
  const depth = [0, 0];
  blocks.forEach((paths) => depth.push(1 + Math.max(...paths.map((path) => depth[path.from]))));
  const columns = Math.max(...depth) + 2;
  const rows = new Array(columns).fill(0);
  const spots = depth.map((column) => ({ column, row: rows[column]++ }));
  const [wide, high, gapX, gapY] = [132, 62, 56, 26];
  const tallest = Math.max(...rows);
  const height = tallest * (high + gapY) + 20;
  const x = (column) => 14 + column * (wide + gapX);
  const y = ({ column, row }) => (height - rows[column] * (high + gapY) + gapY) / 2 + row * (high + gapY);
  const shapes = [];
  const out = { x: x(columns - 1), y: height / 2 };
  const curve = (from, tx, ty, kind) => {
    const sx = x(spots[from].column) + wide;
    const sy = y(spots[from]) + high / 2;
    const bend = Math.max(24, (tx - sx) / 2);
    return arrow(`M${sx} ${sy}C${sx + bend} ${sy} ${tx - bend} ${ty} ${tx - 3} ${ty}`, kind);
  };
  blocks.forEach((paths, index) =>
    paths.forEach((path, side) => {
      const spot = spots[index + 2];
      shapes.push(
        curve(
          path.from,
          x(spot.column),
          y(spot) + (side ? 44 : 18),
          livePath(index + 2, path) ? "live" : "dead",
        ),
      );
    }),
  );
  unread.forEach((number) => shapes.push(curve(number, out.x, out.y, fed[number] ? "live" : "dead")));
  spots.forEach((spot, number) => {
    const kind = fed[number] && needed[number] ? "live" : "dead";
    const [left, top] = [x(spot.column), y(spot)];
    shapes.push(box(left, top, wide, high, kind));
    if (number < 2) {
      shapes.push(
        label(left + wide / 2, top + 20, `input ${number}`, kind),
        label(left + wide / 2, top + 42, number === 0 ? "cell before the last" : "last cell", kind + " tiny"),
      );
      return;
    }
    shapes.push(label(left + wide - 9, top + high / 2, number, kind + " tiny"));
    blocks[number - 2].forEach((path, side) =>
      shapes.push(
        label(
          left + 10,
          top + (side ? 44 : 18),
          path.name,
          livePath(number, path) ? "live" : "dead",
          "start",
        ),
      ),
    );
  });
  shapes.push(
    box(out.x, out.y - 20, 92, 40, "live"),
    label(out.x + 46, out.y, unread.length > 1 ? "concatenate" : "output", "live"),
  );
  const words = blocks
    .map(
      (paths, index) =>
        `block ${index + 2}: ${paths.map((path) => `${short(path.name, 30)} of ${path.from}`).join(" plus ")}`,
    )
    .join("; ");
  return el(
    "figure",
    null,
    drawing(x(columns - 1) + 106, height, `${cell} cell. ${words}`, shapes),
    el(
      "figcaption",
      null,
      `The ${cell === "normal" ? "normal" : "reduction"} cell: a block adds its two operations. Grey: not on a path from input to output.`,
    ),
  );
}

/** Mobile: a chain of stages. */
function stageChain(decisions, chosen) {
  const value = (name) => {
    const index = decisions.findIndex((decision) => decision.name === name);
    return index < 0 ? null : chosen[index];
  };
  const stages = [];
  for (let number = 1; value(`stage ${number} kernel`) !== null; number += 1) {
    const part = (name) => value(`stage ${number} ${name}`);
    stages.push({
      title: `stage ${number}`,
      blocks: Math.min(12, Number(part("depth")) || 1),
      lines: [
        `${part("depth")} × kernel ${part("kernel")}`,
        `expansion ${part("expansion")}`,
        `${part("width")} channels`,
        part("squeeze-excitation") === "1" ? "squeeze-excitation" : "",
      ],
    });
  }
  if (!stages.length) return null;
  const all = [
    { title: "stem", blocks: 1, lines: ["kernel 3", `${value("stem")} channels`] },
    ...stages,
    { title: "head", blocks: 1, lines: ["1 × 1, pooling,", "classifier"] },
  ];
  const [wide, high, gap] = [138, 118, 30];
  const shapes = all.map((stage, index) => {
    const x = 10 + index * (wide + gap);
    return [
      index ? arrow(`M${x - gap} 72H${x - 4}`, "live") : null,
      // A bar for each block of the stage.
      Array.from({ length: stage.blocks }, (_, bar) =>
        svg("rect", { x: x + 6 + bar * 10, y: 4, width: 7, height: 7, class: "bar" }),
      ),
      box(x, 14, wide, high, "live"),
      label(x + wide / 2, 32, stage.title, "strong"),
      stage.lines.map((line, row) => label(x + wide / 2, 56 + row * 20, line)),
    ];
  });
  const words = all.map((stage) => `${stage.title}: ${stage.lines.filter(Boolean).join(", ")}`).join("; ");
  return el(
    "figure",
    null,
    drawing(20 + all.length * (wide + gap), 142, "Chain of stages. " + words, shapes),
    el("figcaption", null, "The stages in order; a small square is a block."),
  );
}
