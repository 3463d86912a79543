// Three axes on a canvas, turned by mouse, touch and arrow keys.

function makeTurner() {
  const canvas = el("canvas", { tabindex: 0, role: "img", "aria-describedby": "front-keys" });
  const element = el("div", { class: "plot", "data-plot": "front-3d", hidden: true }, canvas);
  const state = { yaw: -0.6, pitch: 0.42, zoom: 1, groups: [], axes: [], model: null, screen: null };
  let [wide, high, asked] = [0, 0, false];

  const paint = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      frame();
    });
  };

  function update(model, groups, axes, sentence) {
    state.model = model;
    state.axes = axes;
    // Coordinates within the cube from −1 to 1, once for all frames.
    state.groups = groups.map((group) => {
      const kept = group.data.filter((point) =>
        axes.every((one, index) => one.holds(point[index === 2 ? 3 : index])),
      );
      const unit = new Float32Array(kept.length * 3);
      kept.forEach((point, row) => {
        for (let index = 0; index < 3; index += 1)
          unit[row * 3 + index] = within(axes[index], point[index === 2 ? 3 : index]);
      });
      return { ...group, kept, unit };
    });
    canvas.setAttribute("aria-label", sentence + " Arrow keys turn the plot.");
    paint();
  }

  function size() {
    const ratio = window.devicePixelRatio || 1;
    wide = element.clientWidth;
    high = element.clientHeight;
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, wide, high);
    return context;
  }

  /** From the cube to the screen; the second axis points upwards. */
  function projection() {
    const [cy, sy, cp, sp] = [
      Math.cos(state.yaw),
      Math.sin(state.yaw),
      Math.cos(state.pitch),
      Math.sin(state.pitch),
    ];
    const scale = Math.min(wide * 0.9, high) * 0.29 * state.zoom;
    return (x, y, z) => {
      const across = x * cy + z * sy;
      const towards = -x * sy + z * cy;
      // Positive pitch looks from above; what is nearer is a little larger.
      const upwards = y * cp - towards * sp;
      const near = 1 / (1 - 0.12 * (towards * cp + y * sp));
      return [wide / 2 + across * scale * near, 0.46 * high - upwards * scale * near];
    };
  }

  function frame() {
    if (element.hidden || !element.clientWidth) return;
    const context = size();
    const project = projection();
    const palette = colours();
    const total = state.groups.reduce((sum, group) => sum + group.kept.length, 0);
    state.screen = state.groups.map((group) => {
      const screen = new Float32Array(group.kept.length * 2);
      for (let row = 0; row < group.kept.length; row += 1) {
        const [x, y] = project(group.unit[row * 3], group.unit[row * 3 + 1], group.unit[row * 3 + 2]);
        screen[row * 2] = x;
        screen[row * 2 + 1] = y;
      }
      return screen;
    });
    // Paths of thousands of points are slow without a graphics card: then the networks off the front are pixels.
    const many = total > 4000;
    if (many) drawPixels(context);
    drawCube(context, project, palette);
    state.planes = drawPlanes(context, project, state.axes, palette);
    state.groups.forEach((group, index) => {
      if (!many || group.kind.key === "front")
        drawGroup(context, group, state.screen[index], palette, project);
    });
    state.bars = barsInCube(state.model, state.groups, state.axes);
    drawBars(context, project, state.bars, palette);
    drawSelection(context, palette);
  }

  function drawPixels(context) {
    const { width, height } = canvas;
    const ratio = width / wide;
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const side = Math.max(2, Math.round(2 * ratio));
    state.groups.forEach((group, index) => {
      if (group.kind.key === "front") return;
      const part = (at) => parseInt(group.colour.slice(at, at + 2), 16);
      const colour = ((200 << 24) | (part(5) << 16) | (part(3) << 8) | part(1)) >>> 0; // Opacity, blue, green, red.
      const screen = state.screen[index];
      for (let row = 0; row * 2 < screen.length; row += 1) {
        const left = Math.round(screen[row * 2] * ratio) - (side >> 1);
        const top = Math.round(screen[row * 2 + 1] * ratio) - (side >> 1);
        if (left < 0 || top < 0 || left + side > width || top + side > height) continue;
        for (let y = top; y < top + side; y += 1)
          pixels.fill(colour, y * width + left, y * width + left + side);
      }
    });
    context.putImageData(image, 0, 0);
  }

  function drawGroup(context, group, screen, palette, project) {
    const front = group.kind.key === "front";
    const half = front ? 5 : 2.6;
    context.globalAlpha = front ? 1 : 0.75;
    context.fillStyle = context.strokeStyle = group.colour;
    if (front) {
      context.lineWidth = 1;
      context.globalAlpha = 0.35;
      context.beginPath();
      for (let row = 0; row < group.kept.length; row += 1) {
        const foot = project(group.unit[row * 3], -1, group.unit[row * 3 + 2]);
        context.moveTo(screen[row * 2], screen[row * 2 + 1]);
        context.lineTo(foot[0], foot[1]);
      }
      context.stroke();
      context.globalAlpha = 1;
    }
    context.beginPath();
    for (let row = 0; row < group.kept.length; row += 1) {
      const [x, y] = [screen[row * 2], screen[row * 2 + 1]];
      if (front) {
        context.moveTo(x, y - half);
        context.lineTo(x + half, y);
        context.lineTo(x, y + half);
        context.lineTo(x - half, y);
        context.closePath();
      } else if (group.kind.key === "beyond") {
        context.moveTo(x, y - half);
        context.lineTo(x + half, y + half);
        context.lineTo(x - half, y + half);
        context.closePath();
      } else {
        context.moveTo(x + half, y);
        context.arc(x, y, half, 0, 7);
      }
    }
    if (group.kind.key === "short") {
      context.lineWidth = 1.2;
      context.stroke();
    } else context.fill();
    context.globalAlpha = 1;
  }

  /** The edges of the cube, three of them with round numbers, and the names of the axes. */
  function drawCube(context, project, palette) {
    // Numbers stand at the lower edges that are nearest to the eye.
    const nearX = -Math.sin(state.yaw) > 0 ? 1 : -1;
    const nearZ = Math.cos(state.yaw) > 0 ? 1 : -1;
    context.strokeStyle = palette.line;
    context.lineWidth = 1;
    const line = (a, b) => {
      const [from, to] = [project(...a), project(...b)];
      context.beginPath();
      context.moveTo(from[0], from[1]);
      context.lineTo(to[0], to[1]);
      context.stroke();
    };
    const corners = [-1, 1];
    for (const a of corners)
      for (const b of corners) {
        line([-1, a, b], [1, a, b]);
        line([a, -1, b], [a, 1, b]);
        line([a, b, -1], [a, b, 1]);
      }
    if (state.axes.length < 3) return;
    context.font = "12px system-ui, sans-serif";
    const [across, up, deep] = state.axes;
    const place = { x: (at) => [at, -1, nearZ], z: (at) => [nearX, -1, at], y: (at) => [upX, at, upZ] };
    // The upright axis stands at the edge that is furthest left.
    const edges = corners
      .flatMap((x) => corners.map((z) => [x, z, project(x, 0, z)[0]]))
      .sort((a, b) => a[2] - b[2]);
    const [upX, upZ] = edges[0];
    const axes = [
      [across, place.x, "x"],
      [up, place.y, "y"],
      [deep, place.z, "z"],
    ];
    for (const [one, position, name] of axes) {
      context.strokeStyle = palette.soft;
      line(position(-1), position(1));
      const [middle, centre] = [project(...position(0)), project(0, name === "y" ? 0 : -1, 0)];
      const away = [middle[0] - centre[0], middle[1] - centre[1]];
      const length = Math.hypot(...away) || 1;
      const [ox, oy] = name === "y" ? [-1, 0] : [away[0] / length, away[1] / length];
      context.fillStyle = palette.soft;
      context.textAlign = ox < -0.3 ? "right" : ox > 0.3 ? "left" : "center";
      context.textBaseline = "middle";
      const every = Math.ceil((one.ticks || []).length / 5);
      (one.ticks || []).forEach((value, index) => {
        if (index % every) return;
        const [x, y] = project(...position(within(one, value)));
        context.fillText(one.format(value), x + ox * 8, y + oy * 10 + (name === "y" ? 0 : 2));
      });
      context.fillStyle = palette.text;
      if (name === "y") {
        const top = project(...position(1));
        context.textAlign = "left";
        context.fillText(one.name, Math.max(4, top[0] - 60), Math.max(10, top[1] - 16));
      } else {
        const width = context.measureText(one.name).width;
        const wanted = middle[0] + ox * (44 + Math.abs(ox) * width * 0.5);
        const x = Math.min(wide - width / 2 - 4, Math.max(width / 2 + 4, wanted));
        // Without room at the side, the name stands below the numbers.
        const below = 44 * Math.max(oy, 0.25) + Math.min(36, Math.abs(wanted - x)) + 4;
        context.textAlign = "center";
        context.fillText(one.name, x, Math.min(high - 10, middle[1] + below));
      }
    }
  }

  function drawSelection(context, palette) {
    const chosen = selected(state.model);
    if (!chosen) return;
    state.groups.forEach((group, index) => {
      if (group.run !== chosen.run) return;
      const row = group.kept.findIndex((point) => point[2] === chosen.place);
      if (row < 0) return;
      context.strokeStyle = palette.text;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(state.screen[index][row * 2], state.screen[index][row * 2 + 1], 9, 0, 7);
      context.stroke();
    });
  }

  function nearest(event) {
    if (!state.screen) return null;
    const box = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, found] = [100, null];
    state.screen.forEach((screen, index) => {
      const bonus = state.groups[index].kind.key === "front" ? 30 : 0;
      for (let row = 0; row * 2 < screen.length; row += 1) {
        const distance = (screen[row * 2] - x) ** 2 + (screen[row * 2 + 1] - y) ** 2 - bonus;
        if (distance < best)
          [best, found] = [distance, [state.groups[index].run, state.groups[index].kept[row][2]]];
      }
    });
    return found;
  }

  // Turning; two fingers zoom.
  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
    showTip(null);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) {
      const network = nearest(event);
      canvas.style.cursor = network ? "pointer" : "grab";
      showTip(network && networkTip(state.model, ...network), event);
      return;
    }
    const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
    moved += Math.abs(dx) + Math.abs(dy);
    if (fingers.size === 1) turn(dx * 0.008, dy * 0.008);
    else {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      zoom(apart([event.clientX, event.clientY]) / apart(before));
    }
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  const lift = (event) => {
    const down = fingers.delete(event.pointerId);
    if (event.type !== "pointerup" || !down || moved > 4) return;
    const network = nearest(event);
    if (network) openNetwork(...network);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => showTip(null));
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * 0.002));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[
      event.key
    ];
    if (turns) turn(...turns);
    else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1.1 : 1 / 1.1);
    else if (event.key === "Enter" && selected(state.model))
      openNetwork(...Object.values(selected(state.model)));
    else return;
    event.preventDefault();
  });
  new ResizeObserver(paint).observe(element);

  function turn(yaw, pitch) {
    state.yaw += yaw;
    state.pitch = Math.min(1.5, Math.max(-0.2, state.pitch + pitch));
    paint();
  }

  function zoom(factor) {
    state.zoom = Math.min(8, Math.max(0.5, state.zoom * factor));
    paint();
  }

  return { element, update, paint, state, frame };
}

/** A hint at the pointer for drawings that are not ECharts'. */
function showTip(content, event) {
  const tip = document.getElementById("tip");
  tip.hidden = !content;
  if (!content) return;
  tip.replaceChildren(content);
  const [x, y] = [event.clientX + 14, event.clientY + 14];
  tip.style.left = Math.min(x, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(y, innerHeight - tip.offsetHeight - 8) + "px";
}
