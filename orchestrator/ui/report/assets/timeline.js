const LANE = { node: 22, own: 11, gap: 12, axis: 24 };

class Timeline {
  constructor(report, choose) {
    this.report = report;
    this.choose = choose;
    this.seconds = Math.max(report.seconds, ...report.steps.map((step) => step.end ?? 0), 0.001);
    this.groups = groupLanes(report.steps);
    this.scale = 1;
    this.svg = draw("svg", { id: "timeline-svg", role: "group", "aria-label": "Steps by node; arrow keys move, Enter chooses" });
    this.bars = new Map();
    this.drawn = [];
    byId("timeline-scroll").append(this.svg);
    this.drawLabels();
    this.makeBars();
    this.render();
    this.listen();
    showCritical(report, choose);
  }

  listen() {
    const scroll = byId("timeline-scroll");
    scroll.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400), event.clientX - scroll.getBoundingClientRect().left);
      }
    }, { passive: false });
    byId("timeline").addEventListener("keydown", (event) => zoomKey(event, this));
    byId("time-in").addEventListener("click", () => this.zoom(1.6));
    byId("time-out").addEventListener("click", () => this.zoom(1 / 1.6));
    byId("time-fit").addEventListener("click", () => this.fit());
    const pick = (event) => event.target.closest?.(".step")?.getAttribute("data-step");
    this.svg.addEventListener("click", (event) => this.open(pick(event)));
    this.svg.addEventListener("pointerover", (event) => this.say(pick(event)));
    this.svg.addEventListener("focusin", (event) => this.hold(pick(event)));
    this.svg.addEventListener("keydown", (event) => this.key(event, pick(event)));
    new ResizeObserver(() => this.render()).observe(scroll);
  }

  zoom(factor, at = this.middle()) {
    const scroll = byId("timeline-scroll");
    const before = this.scale;
    this.scale = Math.min(Math.max(this.scale * factor, 1), 400);
    this.render();
    scroll.scrollLeft = (scroll.scrollLeft + at) * (this.scale / before) - at;
  }

  // What stays where it is: the step that has the focus, or the middle.
  middle() {
    const { clientWidth, scrollLeft } = byId("timeline-scroll");
    const step = this.svg.contains(document.activeElement) && this.report.stepById.get(this.current);
    const at = step ? (this.x(step.start) + this.x(step.end)) / 2 - scrollLeft : clientWidth / 2;
    return Math.min(Math.max(at, 0), clientWidth);
  }

  fit() {
    this.scale = 1;
    this.render();
  }

  drawLabels() {
    let top = LANE.axis;
    for (const group of this.groups) {
      group.top = top;
      group.lane = group.node ? LANE.node : LANE.own;
      group.height = Math.max(group.lanes.length * group.lane, LANE.node);
      top += group.height + LANE.gap;
    }
    this.height = top;
    const label = (group) => draw("text", { x: 0, y: group.top + 15 }, draw("title", {}, group.label), shorten(group.label, 22));
    byId("lanes").append(draw("svg", { width: 150, height: this.height, "aria-hidden": "true" }, this.groups.map(label)));
  }

  // Once, so that a bar that has the focus keeps it however often it is drawn.
  makeBars() {
    for (const group of this.groups) {
      for (const [number, steps] of group.lanes.entries()) {
        for (const step of steps) {
          this.makeBar(step, group.top + number * group.lane, group.lane);
        }
      }
    }
    this.under = draw("g", { "aria-hidden": "true" });
    this.over = draw("g", { "aria-hidden": "true" });
    this.svg.append(drawHatch(), this.under, draw("g", {}, this.drawn.map((one) => one.bar)), this.over);
    this.current = this.groups[0]?.lanes[0]?.[0]?.id;
    this.bars.get(this.current)?.setAttribute("tabindex", "0");
  }

  makeBar(step, top, lane) {
    const says = step.isLost ? `${step.id} on ${step.node}: lost with its node` : said(step);
    const bar = draw("g", {
      class: `step ${stateClass(barState(step))}${step.critical ? " critical" : ""}${step.isLost ? " lost" : ""}`, "data-step": step.id, role: "button",
      tabindex: "-1", "aria-label": says,
    });
    this.drawn.push({ step, bar, top, lane, says });
    if (!step.isLost) {
      step.middle = top + (lane - 3) / 2;
      this.bars.set(step.id, bar);
    }
  }

  render() {
    const width = Math.max(byId("timeline-scroll").clientWidth - 2, 300) * this.scale;
    if (width === this.width) {
      return;
    }
    this.width = width;
    const x = (seconds) => (seconds / this.seconds) * (width - 8) + 2;
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", this.height);
    const rule = (group) => draw("line", { class: "rule", x1: 0, x2: width, y1: group.top - LANE.gap / 2, y2: group.top - LANE.gap / 2 });
    this.under.replaceChildren(drawAxis(this.seconds, width, this.height, x), ...this.groups.map(rule),
      ...this.drawn.map(({ step, top, lane }) => drawWait(step, x, top + (lane - 3) / 2)).filter(Boolean));
    for (const one of this.drawn) {
      one.bar.replaceChildren(...drawBar(one, x));
    }
    this.over.replaceChildren(...this.drawPath(x));
    this.x = x;
    if (this.svg.contains(document.activeElement)) {
      this.say(this.current);
    }
  }

  drawPath(x) {
    const steps = this.report.critical.steps.map((id) => this.report.stepById.get(id)).filter((step) => step?.middle);
    const points = steps.flatMap((step) => [[x(step.start), step.middle], [x(step.end), step.middle]]);
    this.link = draw("path", { class: "link", d: "" });
    return [draw("path", { class: "critical-path", d: points.map(([a, b], at) => `${at ? "L" : "M"}${a},${b}`).join("") }), this.link];
  }

  hold(id) {
    if (this.bars.has(id)) {
      this.bars.get(this.current)?.setAttribute("tabindex", "-1");
      this.current = id;
      this.bars.get(id).setAttribute("tabindex", "0");
    }
    this.say(id);
  }

  say(id) {
    const step = id && this.report.stepById.get(id);
    if (!step) {
      return;
    }
    byId("timeline-said").textContent = said(step);
    const [before, behind] = [this.report.stepById.get(step.after), this.report.stepById.get(step.behind)];
    const [ready, start] = [this.x(step.ready), this.x(step.start)];
    this.link.setAttribute("d", [
      before?.middle ? `M${this.x(before.end)},${before.middle}L${ready},${step.middle}L${start},${step.middle}` : "",
      behind?.middle ? `M${this.x(behind.end)},${behind.middle}L${start},${step.middle}` : "",
    ].join(""));
  }

  open(id) {
    const step = id && this.report.stepById.get(id);
    if (step) {
      this.choose(step.image, step.id);
    }
  }

  key(event, id) {
    const all = this.groups.flatMap((group) => group.lanes.flat()).filter((step) => !step.isLost);
    const at = all.findIndex((step) => step.id === id);
    const jump = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open(id);
    } else if (jump && all[at + jump]) {
      event.preventDefault();
      this.bars.get(all[at + jump].id).focus();
    }
  }
}

// Steps that the engine does itself stand last, in thin lanes; so that nothing overlaps, each goes to the first free lane.
function groupLanes(steps) {
  const groups = new Map();
  const last = steps.filter((step) => step.start !== null && step.kind !== "gate");
  const lost = steps.flatMap((step) => step.attempts.map((attempt) => ({
    ...step, ...attempt, ready: attempt.start, state: "cancelled", critical: false, isLost: true,
  })));
  const ran = [...last, ...lost].sort((a, b) => a.start - b.start);
  for (const step of ran) {
    const group = groups.get(step.node) ?? { node: step.node, label: step.node || "records, checks, tags", lanes: [] };
    groups.set(step.node, group);
    const free = group.lanes.find((lane) => lane.at(-1).end <= step.start);
    if (free) {
      free.push(step);
    } else {
      group.lanes.push([step]);
    }
  }
  return [...groups.values()].sort((a, b) => Number(!a.node) - Number(!b.node) || (a.node < b.node ? -1 : 1));
}

// What it is stands in it as a letter where that fits, and is told by how it is filled where not; all of it when pointed at.
function drawBar({ step, top, lane, says }, x) {
  const [left, right] = [x(step.start), Math.max(x(step.end), x(step.start) + 1.5)];
  const wide = right - left;
  const isThin = lane < LANE.node;
  const letter = step.isLost ? "L" : stateOf(step.state).letter;
  const room = isThin ? 0 : Math.floor((wide - 8) / 6.2);
  const text = (word, at, down) => draw("text", { class: isThin ? "thin" : null, x: left + at, y: top + down }, word);
  return [
    draw("title", {}, says),
    draw("rect", { class: "box", x: left, y: top, width: wide, height: lane - 3, rx: Math.min(3, wide / 3) }),
    room > 2 ? text(shorten(`${letter} ${what(step)}`, room), 4, 13.5) : wide > 9 ? text(letter, 2, isThin ? 7 : 13.5) : "",
  ].filter(Boolean);
}

function drawHatch() {
  return draw("defs", {}, draw("pattern", { id: "hatch", class: "s-cancelled", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    draw("rect", { width: 6, height: 6 }), draw("line", { x1: 0, x2: 0, y1: 0, y2: 6 })));
}

// Beneath the bars, so that it shows where a lane was free and the step waited all the same.
function drawWait(step, x, y) {
  return step.start - step.ready > 0.05 && x(step.start) - x(step.ready) > 2
    ? draw("line", { class: `waited ${stateClass(barState(step))}`, x1: x(step.ready), x2: x(step.start), y1: y, y2: y }) : "";
}

function barState(step) {
  return { done: "built", found: "reused" }[step.state] ?? step.state;
}

function what(step) {
  const named = step.kind === "solve" ? step.id.slice(step.id.indexOf(":") + 1) : step.id;
  return step.kind === "solve" && !named.includes("@") && step.platforms.length === 1 ? `${named}@${step.platforms[0]}` : named;
}

function said(step) {
  const parts = [`${step.id}${step.node ? ` on ${step.node}` : ""}: ${stateOf(step.state).says}`];
  if (step.start === null) {
    return parts[0];
  }
  parts.push(`+${duration(step.start)} to +${duration(step.end)}, ${duration(step.end - step.start)}`);
  if (step.after) {
    parts.push(`could begin at +${duration(step.ready)}, after ${step.after}`);
  }
  if (step.start - step.ready > 0.05) {
    parts.push(waited(step, duration(step.start - step.ready)));
  }
  if (step.attempts.length) {
    parts.push(`lost before with ${step.attempts.map((attempt) => `${attempt.node} after ${duration(attempt.end - attempt.start)}`).join(", ")}`);
  }
  if (step.critical) {
    parts.push("on the critical path");
  }
  return parts.join("; ");
}

// Only what the journal shows: where it does not say why, neither does this.
function waited(step, time) {
  if (step.rested) {
    return `waited ${time}, since nothing was begun on ${step.node} after it was lost`;
  }
  return step.behind ? `waited ${time} for a free slot, until ${step.behind} ended` : `began ${time} later`;
}

function drawAxis(seconds, width, height, x) {
  const wanted = Math.max(width / 110, 2);
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400];
  const step = steps.find((each) => seconds / each <= wanted) ?? Math.ceil(seconds / wanted);
  const ticks = [];
  for (let number = 0; number * step <= seconds; number += 1) {
    const at = x(number * step);
    ticks.push(draw("line", { class: "tick", x1: at, x2: at, y1: 16, y2: height }));
    ticks.push(draw("text", { class: "tick-text", x: at + 2, y: 12 }, number ? `+${duration(number * step)}` : "start"));
  }
  return draw("g", { "aria-hidden": "true" }, ticks);
}

function showCritical(report, choose) {
  const steps = report.critical.steps.map((id) => report.stepById.get(id)).filter((step) => step && step.kind !== "gate");
  byId("critical").hidden = !steps.length;
  byId("critical-summary").textContent =
    `Critical path: ${count(steps.length, "step")}, ${duration(report.critical.work)} of work, `
    + `${duration(report.critical.waited)} of waiting to be started`;
  byId("critical-steps").append(...steps.map((step) => make("li", {},
    make("button", { type: "button", class: "plain", onclick: () => choose(step.image, step.id) }, step.id),
    make("span", { class: "quiet" }, ` ${duration(step.end - step.start)}${step.node ? ` on ${step.node}` : ""}`))));
}
