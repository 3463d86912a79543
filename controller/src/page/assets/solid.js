// What the 3-D plot draws besides its points: deviations along the axes, and the planes of the bounds.

/** A value of an axis within the cube from −1 to 1. */
function within(one, value) {
  const [from, to, at] = one.log ? [one.from, one.to, value].map(Math.log) : [one.from, one.to, value];
  return to > from ? (2 * (at - from)) / (to - from) - 1 : 0;
}

/** The ends of the bars of the front's members and of the selected network, in the cube: six numbers a bar. */
function barsInCube(model, groups, axes) {
  if (!view.bars || axes.length < 3) return [];
  const chosen = selected(model);
  const bars = [];
  for (const { run, kind, kept, unit } of groups) {
    kept.forEach((point, row) => {
      const place = point[2];
      const isChosen = chosen && chosen.run === run && chosen.place === place;
      if (kind.key !== "front" && !isChosen) return;
      [view.x, view.y, view.z].forEach((name, index) => {
        const deviation = deviationOf(run, name, place);
        if (!known(deviation)) return;
        const value = point[index === 2 ? 3 : index];
        const ends = [value - view.bars * deviation, value + view.bars * deviation].map((end) =>
          // A bar ends at the face of the cube; a logarithmic axis has no place for 0 and below.
          within(axes[index], Math.min(axes[index].to, Math.max(axes[index].from, end))),
        );
        const centre = [unit[row * 3], unit[row * 3 + 1], unit[row * 3 + 2]];
        bars.push(ends.map((end) => centre.map((at, other) => (other === index ? end : at))));
      });
    });
  }
  return bars;
}

function drawBars(context, project, bars, palette) {
  context.strokeStyle = palette.soft;
  context.lineWidth = 1.3;
  context.beginPath();
  for (const [from, to] of bars) {
    context.moveTo(...project(...from));
    context.lineTo(...project(...to));
  }
  context.stroke();
}

/** The bounds of the run that is shown, each a plane across the cube; returns the objectives that have one. */
function drawPlanes(context, project, axes, palette) {
  const bounds = (page.model.shown && page.model.shown.run.bounds) || {};
  const drawn = [];
  [view.x, view.y, view.z].forEach((name, index) => {
    const bound = bounds[name];
    if (!known(bound) || !axes[index] || !axes[index].holds(bound)) return;
    drawn.push(name);
    const at = within(axes[index], bound);
    const corners = [
      [-1, -1],
      [1, -1],
      [1, 1],
      [-1, 1],
    ].map((pair) => project(...pair.slice(0, index), at, ...pair.slice(index)));
    context.beginPath();
    corners.forEach((corner) => context.lineTo(...corner));
    context.closePath();
    context.globalAlpha = 0.5; // Planes lie before one another.
    context.fillStyle = palette.shade;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = palette.soft;
    context.lineWidth = 1.2;
    context.setLineDash([5, 4]);
    context.stroke();
    context.setLineDash([]);
    // At the right one of the upper corners: the upright axis has its name at the left.
    const [first, second] = corners.sort((a, b) => a[1] - b[1]);
    const [x, y] = first[0] > second[0] ? first : second;
    const words = `bound ${valueText(name, bound)}`;
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "bottom";
    const left = Math.min(x + 3, context.canvas.clientWidth - context.measureText(words).width - 2);
    context.strokeStyle = palette.back;
    context.lineWidth = 3;
    context.strokeText(words, left, y - 2);
    context.fillStyle = palette.soft;
    context.fillText(words, left, y - 2);
  });
  return drawn;
}
