const BOX = { width: 190, height: 40 };
const MARGIN = 16;

class Graph {
  constructor(report, choose) {
    this.report = report;
    this.choose = choose;
    this.nodes = new Map();
    this.view = { scale: 1, x: 0, y: 0 };
    this.scene = draw("g", { id: "scene" });
    this.svg = draw("svg", { id: "graph-svg", role: "group", "aria-label": "Graph of images; arrow keys move, Enter chooses" },
      this.scene);
    this.drawEdges();
    this.drawNodes();
    byId("graph-box").append(this.svg);
    this.listen();
    this.fit();
  }

  drawEdges() {
    this.edges = [];
    for (const image of this.report.images) {
      for (const need of image.needs) {
        const parent = this.report.imageByName.get(need);
        if (parent) {
          const path = draw("path", { class: "edge", d: edgePath(parent, image) });
          this.edges.push({ parent: need, child: image.name, path });
        }
      }
    }
    this.scene.append(draw("g", { "aria-hidden": "true" }, this.edges.map((edge) => edge.path)));
  }

  drawNodes() {
    for (const image of this.report.images) {
      const state = stateOf(image.state);
      const under = [count(image.builds.length, "platform"), duration(image.seconds)].filter(Boolean).join(" · ");
      const node = draw("g", {
        class: `node ${stateClass(image.state)}`, role: "button", tabindex: "-1", transform: `translate(${image.x},${image.y})`,
        "aria-label": `${image.name}: ${state.says}, ${under}`,
        onclick: () => this.choose(image.name), onkeydown: (event) => this.nodeKey(event, image),
      },
      draw("title", {}, `${image.name}: ${state.says}`),
      draw("rect", { class: "box", width: BOX.width, height: BOX.height, rx: 6 }),
      draw("rect", { class: "mark", width: 30, height: BOX.height, rx: 6 }),
      draw("text", { class: "letter-text", x: 15, y: 26, "text-anchor": "middle" }, state.letter),
      draw("text", { class: "far-letter", x: BOX.width / 2, y: 33, "text-anchor": "middle" }, state.letter),
      draw("text", { class: "name", x: 38, y: 17 }, shorten(image.name, 22)),
      draw("text", { class: "under", x: 38, y: 32 }, under));
      this.nodes.set(image.name, node);
    }
    this.scene.append(draw("g", {}, [...this.nodes.values()]));
    this.nodes.values().next().value?.setAttribute("tabindex", "0");
  }

  listen() {
    let last = null;
    let moved = false;
    let isClicked = false;  // an image that is clicked gives the focus to its details
    document.addEventListener("pointerdown", (event) => {
      isClicked = this.svg.contains(event.target);
    });
    this.svg.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey || isClicked || this.svg.contains(document.activeElement)) {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400), this.at(event));
      }
    }, { passive: false });
    this.svg.addEventListener("pointerdown", (event) => {
      last = event.button === 0 ? event : null;
      moved = false;
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!last) {
        return;
      }
      const [dx, dy] = [event.clientX - last.clientX, event.clientY - last.clientY];
      if (!moved && Math.hypot(dx, dy) < 4) {
        return;
      }
      moved = true;
      this.svg.setPointerCapture(event.pointerId);
      this.svg.classList.add("dragged");
      this.move(dx, dy);
      last = event;
    });
    const release = () => {
      last = null;
      this.svg.classList.remove("dragged");
    };
    this.svg.addEventListener("pointerup", release);
    this.svg.addEventListener("pointercancel", release);
    this.svg.addEventListener("click", (event) => {
      if (moved) {
        event.stopPropagation();
      } else if (!this.svg.contains(document.activeElement)) {
        this.svg.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
      }
    }, true);
    byId("graph").addEventListener("keydown", (event) => zoomKey(event, this));
    byId("graph-in").addEventListener("click", () => this.zoom(1.4));
    byId("graph-out").addEventListener("click", () => this.zoom(1 / 1.4));
    byId("graph-fit").addEventListener("click", () => this.fit());
    new ResizeObserver(() => this.fitsAll && this.fit()).observe(this.svg);
  }

  at(event) {
    const box = this.svg.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  fit() {
    const [width, height] = [this.svg.clientWidth || 800, this.svg.clientHeight || 400];
    const [whole, high] = [this.report.width - 230 + BOX.width, this.report.height - 54 + BOX.height];
    const scale = Math.min((width - 2 * MARGIN) / Math.max(whole, 1), (height - 2 * MARGIN) / Math.max(high, 1), 1.25);
    this.view = { scale, x: (width - whole * scale) / 2, y: (height - high * scale) / 2 };
    this.fitsAll = true;
    this.apply();
  }

  zoom(factor, point = { x: this.svg.clientWidth / 2, y: this.svg.clientHeight / 2 }) {
    const scale = Math.min(Math.max(this.view.scale * factor, 0.03), 4);
    const ratio = scale / this.view.scale;
    this.view = {
      scale, x: point.x - (point.x - this.view.x) * ratio, y: point.y - (point.y - this.view.y) * ratio,
    };
    this.fitsAll = false;
    this.apply();
  }

  move(dx, dy) {
    this.view = { ...this.view, x: this.view.x + dx, y: this.view.y + dy };
    this.fitsAll = false;
    this.apply();
  }

  apply() {
    this.scene.setAttribute("transform", `translate(${this.view.x},${this.view.y}) scale(${this.view.scale})`);
    this.svg.classList.toggle("far", this.view.scale < 0.5);
  }

  nodeKey(event, image) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(image.name);
      return;
    }
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const next = direction && nearest(image, direction, this.report.images);
    if (direction) {
      event.preventDefault();
    }
    if (next) {
      this.focus(next.name);
    }
  }

  focus(name) {
    const node = this.nodes.get(name);
    for (const other of this.svg.querySelectorAll('[tabindex="0"]')) {
      other.setAttribute("tabindex", "-1");
    }
    node.setAttribute("tabindex", "0");
    node.focus({ preventScroll: true });
    this.reveal(name);
  }

  reveal(name) {
    const image = this.report.imageByName.get(name);
    const left = this.view.x + image.x * this.view.scale;
    const top = this.view.y + image.y * this.view.scale;
    const [right, bottom] = [left + BOX.width * this.view.scale, top + BOX.height * this.view.scale];
    const [width, height] = [this.svg.clientWidth, this.svg.clientHeight];
    if (left < 0 || top < 0 || right > width || bottom > height) {
      this.move(width / 2 - (left + right) / 2, height / 2 - (top + bottom) / 2);
    }
  }

  mark(name) {
    const above = name ? ancestors(name, this.report) : new Set();
    const below = new Set(name ? descendants(name, this.report).map((image) => image.name) : []);
    this.svg.classList.toggle("chosen", Boolean(name));
    for (const [other, node] of this.nodes) {
      node.classList.toggle("is-chosen", other === name);
      node.classList.toggle("is-near", other === name || above.has(other) || below.has(other));
    }
    const isAbove = (one) => one === name || above.has(one);
    const isBelow = (one) => one === name || below.has(one);
    for (const edge of this.edges) {
      const near = (isAbove(edge.parent) && isAbove(edge.child)) || (isBelow(edge.parent) && isBelow(edge.child));
      edge.path.classList.toggle("is-near", Boolean(name) && near);
    }
    if (name) {
      this.reveal(name);
    }
  }
}

function edgePath(parent, child) {
  const [x1, y1] = [parent.x + BOX.width, parent.y + BOX.height / 2];
  const [x2, y2] = [child.x, child.y + BOX.height / 2];
  const bend = Math.max((x2 - x1) / 2, 30);
  return `M${x1},${y1}C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`;
}

function nearest(from, [dx, dy], images) {
  let best = null;
  let least = Infinity;
  for (const image of images) {
    const [x, y] = [image.x - from.x, image.y - from.y];
    const [along, across] = [x * dx + y * dy, Math.abs(x * dy) + Math.abs(y * dx)];
    const distance = along + 3 * across;
    if (along > 0 && distance < least) {
      [best, least] = [image, distance];
    }
  }
  return best;
}

function shorten(text, most) {
  const letters = [...text];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : text;
}

function zoomKey(event, picture) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) {
    return;
  }
  if (event.key === "+" || event.key === "=") {
    picture.zoom(1.4);
  } else if (event.key === "-") {
    picture.zoom(1 / 1.4);
  } else if (event.key === "0") {
    picture.fit();
  } else {
    return;
  }
  event.preventDefault();
}
