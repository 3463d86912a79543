// The page as a whole: its parts in order, and the live updates.

const parts = [
  watchPart,
  frontPart,
  hypervolumePart,
  runsPart,
  studyPart,
  membersPart,
  attainmentPart,
  settingsPart,
  bestPart,
  forecastPart,
  policyPart,
  costPart,
  effectsPart,
  parallelPart,
  tablePart,
  factsPart,
];

const LARGE = 5000; // Networks.

function buildPage() {
  const root = document.getElementById("page");
  const header = el("header", null);
  headPart.build(header);
  const nav = el("nav", { "aria-label": "Parts of the page" });
  const main = el("main", null);
  root.append(header, nav, main);
  for (const part of parts) {
    part.section = el(
      "section",
      { id: "part-" + part.id, class: "part part-" + part.id, "aria-labelledby": "title-" + part.id },
      el("h2", { id: "title-" + part.id }, part.title),
    );
    part.link = el("a", { href: "#part-" + part.id }, part.title);
    part.build(part.section);
    main.append(part.section);
    nav.append(part.link);
  }
  const dialog = document.getElementById("network");
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // Beside the dialog.
  });
  dialog.addEventListener("close", () => undraw("curve"));
}

/** The way to the element that has the focus, to find the one in its place after an update. */
function focusPath() {
  const path = [];
  for (let node = document.activeElement; node && node !== document.body; node = node.parentElement) {
    path.unshift([...node.parentElement.children].indexOf(node));
  }
  return path;
}

function focusAgain(path, tag) {
  if (!path.length || document.activeElement !== document.body) return;
  const node = path.reduce((found, index) => found && found.children[index], document.body);
  if (node && node.tagName === tag) node.focus({ preventScroll: true });
}

/** Draws everything from the document and what the reader has chosen. */
function refresh() {
  document.documentElement.dataset.theme = themeName();
  const [path, tag] = [focusPath(), document.activeElement?.tagName];
  const model = readDocument(page.document);
  page.model = model;
  headPart.update(model);
  const queue = [...parts];
  const step = () => {
    const part = queue.shift();
    const shown = part.has(model);
    part.section.hidden = part.link.hidden = !shown;
    if (shown) part.update(model);
  };
  const end = () => {
    updateNetwork(model);
    focusAgain(path, tag);
    page.ready = true;
  };
  // A large document is drawn part by part, so that the first plots are there at once.
  const size = model.runs.reduce((sum, run) => sum + run.size, 0);
  if (page.ready || size < LARGE) {
    while (queue.length) step();
    end();
    return;
  }
  while (queue[0] !== runsPart) step();
  const later = () => {
    if (page.model !== model) return; // A newer one is being drawn.
    step();
    if (queue.length) setTimeout(later);
    else end();
  };
  setTimeout(later, 30);
}

const live = { busy: false, again: false, pause: 1000 };

/** Fetches the document again; one request at a time, and the page rests for longer than a fetch takes. */
async function fetchDocument() {
  if (live.busy || document.hidden) {
    live.again = true;
    return;
  }
  live.busy = true;
  live.again = false;
  const begun = performance.now();
  let fine = false;
  try {
    const answer = await fetch("document.json", { cache: "no-store" });
    if (answer.ok) {
      page.document = await answer.json();
      fetched.clear();
      refresh();
      fine = true;
    }
  } catch {
    // The connection is broken: said below.
  }
  headPart.link.hidden = fine;
  live.pause = fine ? Math.min(10000, Math.max(300, 4 * (performance.now() - begun))) : 2000;
  setTimeout(() => {
    live.busy = false;
    if (live.again || !fine) fetchDocument();
  }, live.pause);
}

function listen() {
  const events = new EventSource("events");
  let broken = false;
  events.addEventListener("open", () => {
    headPart.link.hidden = true;
    if (broken) fetchDocument();
    broken = false;
  });
  const changed = () => fetchDocument();
  events.addEventListener("changed", changed);
  events.addEventListener("message", changed);
  events.addEventListener("error", () => {
    broken = true;
    headPart.link.hidden = false;
    if (events.readyState !== EventSource.CLOSED) return; // The browser tries again.
    setTimeout(() => {
      listen();
      fetchDocument();
    }, 2000);
  });
}

function start() {
  const text = document.getElementById("data").textContent;
  page.document = text.trim() ? JSON.parse(text) : null;
  page.document ||= { schema: 1, live: true, runs: [] };
  buildPage();
  refresh();
  dark.addEventListener("change", refresh);
  addEventListener("beforeprint", () => {
    theme.printing = true;
    refresh();
  });
  addEventListener("afterprint", () => {
    theme.printing = false;
    refresh();
  });
  if (!page.document.live) return;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && live.again) fetchDocument();
  });
  if (!page.document.runs.length) fetchDocument();
  listen();
}

start();
