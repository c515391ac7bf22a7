function showDetail(report, image, { step, choose, close }) {
  const heading = make("h2", { id: "detail-title" }, image.name);
  const panel = byId("detail");
  panel.replaceChildren(
    make("div", { class: "bar" }, heading, badge(image.state),
      make("button", { type: "button", class: "close", "aria-label": "Close", title: "Close (Esc)", onclick: close }, "×")),
    image.version ? make("p", { class: "quiet" }, `version ${image.version}`) : "",
    image.digest ? make("p", {}, "index ", digestLine(image.digest, "the digest of the index")) : "",
    ...near("Needs", image.needs, report, choose),
    ...near("Needed by", image.neededBy, report, choose),
    make("h3", {}, "Platforms"), make("div", { class: "builds" }, image.builds.map((build) => buildCard(build, image))),
    ...tagList(image),
    make("h3", {}, "Steps"), ...image.steps.map((each) => stepCard(each, each.id === step)),
  );
  panel.hidden = false;
  panel.scrollTop = 0;
  panel.querySelector("details[open]")?.scrollIntoView({ block: "nearest" });
  panel.focus({ preventScroll: true });
}

function near(title, names, report, choose) {
  if (!names.length) {
    return [];
  }
  const link = (name) => {
    const other = report.imageByName.get(name);
    return other
      ? make("li", {}, make("button", { type: "button", class: "plain", onclick: () => choose(name) },
        make("b", { class: `letter ${stateClass(other.state)}`, title: stateOf(other.state).says }, stateOf(other.state).letter), name))
      : make("li", {}, name);
  };
  return [make("h3", {}, `${title} ${names.length}`), make("ul", { class: "near" }, names.map(link))];
}

function buildCard(build, image) {
  const solve = image.steps.find((step) => step.kind === "solve" && step.platforms.includes(build.platform));
  const facts = [
    ["node", solve?.node ? `${solve.node}${build.mode === "emulated" ? " (emulated)" : ""}` : ""],
    ["time", solve && solve.start !== null ? duration(solve.end - solve.start) : ""],
    ["cache", cacheText(solve)],
    ["size", bytes(build.size)],
  ].filter(([, value]) => value);
  return make("article", { class: "build" },
    make("h4", {}, build.platform, badge(build.state)),
    build.reasons.length ? make("ul", { class: "reasons" }, build.reasons.map((reason) => make("li", {}, reason))) : "",
    build.state === "reused" ? make("p", { class: "quiet" }, reuseText(build, solve)) : "",
    facts.length ? make("dl", {}, facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))) : "",
    build.digest ? make("p", {}, "image ", digestLine(build.digest, `the digest for ${build.platform}`)) : "",
    build.inputs ? make("p", {}, "inputs ", digestLine(build.inputs, `the input digest for ${build.platform}`)) : "");
}

function reuseText(build, solve) {
  return solve?.state === "found"
    ? "Somebody else had built it from the same input by the time it was needed."
    : "What was built before from the same input was taken over: nothing that decides it has changed.";
}

function cacheText(step) {
  return step?.instructions ? `${step.cached} of ${count(step.instructions, "instruction")} from BuildKit's cache` : "";
}

function tagList(image) {
  if (!image.tags.length) {
    return [];
  }
  const before = (tag) => (tag.before && tag.state !== "stands" ? make("span", { class: "quiet" }, ` before: ${shortDigest(tag.before)}`) : "");
  return [make("h3", {}, "Tags"), make("ul", { class: "tags" }, image.tags.map((tag) => make("li", {},
    make("code", {}, tag.ref), tag.state ? make("span", { class: "tag-state" }, ` ${tag.state}`) : "", before(tag))))];
}

function stepCard(step, isChosen) {
  const times = step.start === null ? "" : ` +${duration(step.start)} … +${duration(step.end)}`;
  const card = make("details", { class: "step-card", "data-step": step.id, open: isChosen || step.state === "failed" },
    make("summary", {}, make("b", { class: `letter ${stateClass(barState(step))}`, title: stateOf(step.state).says },
      stateOf(step.state).letter), make("code", {}, step.id), make("span", { class: "quiet" }, times)));
  const fillIn = () => {
    if (card.open && card.childElementCount === 1) {
      card.append(...stepBody(step));
    }
  };
  card.addEventListener("toggle", fillIn);
  fillIn();
  return card;
}

function stepBody(step) {
  return [
    make("p", { class: "quiet" }, said(step)),
    cacheText(step) ? make("p", { class: "quiet" }, cacheText(step)) : "",
    step.digest ? make("p", {}, digestLine(step.digest, "the digest of the step")) : "",
    step.message ? make("p", { class: "message" }, step.message) : "",
    ...step.hints.map((hint) => make("p", { class: "hint-line" }, `hint: ${hint}`)),
    ...step.warnings.map((warning) => make("p", { class: "warning" }, `warning: ${warning}`)),
    ...(step.log ? logView(step.log) : step.lines.length ? [make("pre", { class: "log", tabindex: "0" }, step.lines.join("\n"))] : []),
  ].filter(Boolean);
}

function logView(log) {
  if (!log.text) {
    return [make("p", { class: "quiet" }, `The whole log (${bytes(log.size)}): `, make("code", {}, log.path))];
  }
  const lines = log.text.split("\n");
  const view = make("pre", { class: "log", tabindex: "0", "aria-label": "Log" });
  const said_ = make("span", { role: "status", class: "quiet" });
  const search = make("input", { type: "search", class: "log-search", placeholder: "only lines with …", "aria-label": "Search in the log", oninput: show });
  const whole = log.cut ? `The last ${count(lines.length, "line")} of ${bytes(log.size)}; the whole: ` : "The whole log: ";
  function show() {
    const word = search.value.toLowerCase();
    const found = word ? lines.filter((line) => line.toLowerCase().includes(word)) : lines;
    said_.textContent = word ? `${found.length} of ${count(lines.length, "line")}` : "";
    view.replaceChildren(...found.flatMap((line) => [...marked(line, word), "\n"]));
    view.scrollTop = word ? 0 : view.scrollHeight;
  }
  show();
  requestAnimationFrame(() => { view.scrollTop = view.scrollHeight; });
  return [make("p", { class: "quiet" }, whole, make("code", {}, log.path)), make("p", {}, search, " ", said_), view];
}

function marked(line, word) {
  if (!word) {
    return [line];
  }
  const parts = [];
  const low = line.toLowerCase();
  let from = 0;
  for (let at = low.indexOf(word); at >= 0; at = low.indexOf(word, from)) {
    parts.push(line.slice(from, at), make("mark", {}, line.slice(at, at + word.length)));
    from = at + word.length;
  }
  return [...parts, line.slice(from)];
}
