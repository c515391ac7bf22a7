const MOST_CARDS = 8;

function showHeader(report) {
  byId("project").textContent = report.project;
  const good = report.exit_code === 0;
  const outcome = byId("outcome");
  outcome.textContent = `${good ? "✓" : "✗"} ${report.outcome}`;
  outcome.className = good ? "good" : "bad";
  const tags = report.images.flatMap((image) => image.tags);
  const put = tags.filter((tag) => tag.state === "put" || tag.state === "stands").length;
  const facts = [
    ["run", report.run],
    ["exit code", report.exit_code === null ? "none" : String(report.exit_code)],
    ["results go to", DESTINATIONS.get(report.destination) || report.destination],
    ["began", report.began],
    ["took", duration(report.seconds)],
    ["images", String(report.images.length)],
    ["platform builds", String(report.images.reduce((sum, image) => sum + image.builds.length, 0))],
    ["tags that stand", report.destination === "push" ? `${put} of ${tags.length}` : "none asked for"],
  ];
  byId("facts").append(...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  for (const word of STATES.keys()) {
    const number = report.images.filter((image) => image.state === word).length;
    if (number) {
      byId("counts").append(make("li", {}, badge(word), make("strong", {}, String(number))));
    }
    byId("legend").append(make("li", {}, badge(word)));
  }
}

function showFailures(report, choose) {
  const failed = report.steps.filter((step) => step.state === "failed");
  byId("failures").hidden = byId("to-failures").hidden = !failed.length;
  byId("failures-title").textContent = failed.length === 1 ? "1 step failed" : `${failed.length} steps failed`;
  const cards = failed.map((step) => failureCard(step, report, choose));
  byId("failure-list").append(...cards.slice(0, MOST_CARDS));
  if (cards.length > MOST_CARDS) {
    byId("failure-list").append(make("details", {},
      make("summary", {}, `${cards.length - MOST_CARDS} more`), cards.slice(MOST_CARDS)));
  }
}

function failureCard(step, report, choose) {
  const skipped = descendants(step.image, report).filter((image) => image.state === "skipped").length;
  return make("article", { class: "failure" },
    make("h3", {}, make("span", { class: "letter s-failed", "aria-hidden": "true" }, "F"), make("code", {}, step.id),
      step.node ? make("span", { class: "quiet" }, `on ${step.node}`) : "",
      step.start === null ? "" : make("span", { class: "quiet" }, `after ${duration(step.end - step.start)}`)),
    make("p", { class: "message" }, step.message || "no message"),
    step.place ? make("p", {}, "at ", make("code", {}, step.place)) : "",
    step.excerpt.length ? make("pre", { tabindex: "0", "aria-label": "Its lines of the Dockerfile" }, step.excerpt.join("\n")) : "",
    step.lines.length ? make("pre", { tabindex: "0", "aria-label": "The last lines that it printed" }, step.lines.join("\n")) : "",
    step.hints.map((hint) => make("p", { class: "hint-line" }, `hint: ${hint}`)),
    make("p", { class: "actions" },
      report.imageByName.has(step.image)
        ? make("button", { type: "button", onclick: () => choose(step.image, step.id) }, `Show ${step.image} with its log`) : "",
      skipped ? make("span", { class: "quiet" }, `${count(skipped, "image")} skipped because of it`) : ""));
}

function descendants(name, report) {
  const found = new Set();
  const waiting = [name];
  while (waiting.length) {
    for (const child of report.imageByName.get(waiting.pop())?.neededBy ?? []) {
      if (!found.has(child)) {
        found.add(child);
        waiting.push(child);
      }
    }
  }
  return [...found].map((child) => report.imageByName.get(child));
}

function ancestors(name, report) {
  const found = new Set();
  const waiting = [name];
  while (waiting.length) {
    for (const parent of report.imageByName.get(waiting.pop())?.needs ?? []) {
      if (!found.has(parent) && report.imageByName.has(parent)) {
        found.add(parent);
        waiting.push(parent);
      }
    }
  }
  return found;
}

function showNotes(report) {
  byId("notes").hidden = byId("to-notes").hidden = !report.notes.length;
  byId("note-list").append(...report.notes.map((note) => make("li", {},
    make("time", {}, `+${duration(note.time)}`), note.step ? make("code", {}, note.step) : "",
    note.node && !note.step ? make("code", {}, note.node) : "", make("span", {}, note.text))));
}
