const COLUMNS = [
  { title: "State", key: (image) => [...STATES.keys()].indexOf(image.state) },
  { title: "Image", key: (image) => image.name },
  { title: "Platforms", key: (image) => image.builds.length },
  { title: "Time", key: (image) => image.seconds ?? -1, number: true },
  { title: "Cached", key: (image) => (image.instructions ? image.cached / image.instructions : -1), number: true },
  { title: "Size", key: (image) => image.size ?? -1, number: true },
  { title: "Tags", key: (image) => image.tags.length, number: true },
  { title: "Index", key: (image) => image.digest },
];

class Table {
  constructor(report, choose) {
    this.report = report;
    this.choose = choose;
    this.states = new Set();
    this.sorted = null;
    this.rows = new Map(report.images.map((image) => [image.name, { image, row: this.makeRow(image), text: searched(image) }]));
    this.makeHead();
    this.makeButtons();
    byId("filter").addEventListener("input", () => this.show());
    this.show();
  }

  makeHead() {
    this.heads = COLUMNS.map((column) => make("th", { scope: "col", class: column.number ? "number" : null },
      make("button", { type: "button", class: "plain", onclick: () => this.sort(column) }, column.title)));
    byId("columns-row").append(...this.heads);
  }

  makeButtons() {
    for (const word of STATES.keys()) {
      const number = this.report.images.filter((image) => image.state === word).length;
      if (number) {
        const button = make("button", { type: "button", "aria-pressed": "false", onclick: () => this.toggle(word, button) },
          badge(word), ` ${number}`);
        byId("state-buttons").append(button);
      }
    }
  }

  makeRow(image) {
    const put = image.tags.filter((tag) => tag.state === "put" || tag.state === "stands").length;
    const asked = image.tags.some((tag) => tag.state);
    const button = make("button", { type: "button", class: "plain" }, image.name);
    const choose = () => {
      button.focus({ preventScroll: true });
      this.choose(image.name);
    };
    return make("tr", { onclick: choose },
      make("td", {}, badge(image.state)),
      make("th", { scope: "row" }, button),
      make("td", {}, image.builds.map((build) => make("span", { class: "platform" },
        make("b", { class: `letter ${stateClass(build.state)}`, title: stateOf(build.state).says }, stateOf(build.state).letter),
        build.platform))),
      make("td", { class: "number" }, duration(image.seconds)),
      make("td", { class: "number" }, image.instructions ? `${image.cached}/${image.instructions}` : ""),
      make("td", { class: "number" }, bytes(image.size)),
      make("td", { class: "number" }, asked ? `${put}/${image.tags.length}` : ""),
      make("td", {}, make("code", { title: image.digest }, shortDigest(image.digest))));
  }

  toggle(word, button) {
    if (!this.states.delete(word)) {
      this.states.add(word);
    }
    button.setAttribute("aria-pressed", String(this.states.has(word)));
    this.show();
  }

  sort(column) {
    const up = this.sorted?.column === column ? !this.sorted.up : true;
    this.sorted = { column, up };
    for (const [number, head] of this.heads.entries()) {
      head.removeAttribute("aria-sort");
      if (COLUMNS[number] === column) {
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
      }
    }
    this.show();
  }

  show() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = [...this.rows.values()].filter(({ image, text }) =>
      (!this.states.size || this.states.has(image.state)) && words.every((word) => text.includes(word)));
    if (this.sorted) {
      const { column, up } = this.sorted;
      const order = (a, b) => (a < b ? -1 : Number(a > b)) * (up ? 1 : -1);
      found = found.sort((a, b) => order(column.key(a.image), column.key(b.image)));
    }
    byId("rows").replaceChildren(...found.map(({ row }) => row));
    byId("shown").textContent = found.length === this.rows.size
      ? count(found.length, "image") : `${found.length} of ${count(this.rows.size, "image")}`;
  }

  mark(name) {
    for (const [other, { row }] of this.rows) {
      row.classList.toggle("is-chosen", other === name);
    }
  }
}

function searched(image) {
  return [
    image.name, image.state, image.version, image.digest, ...image.tags.map((tag) => tag.ref),
    ...image.builds.flatMap((build) => [build.platform, build.digest, build.state]), ...image.steps.map((step) => step.node),
  ].join("\n").toLowerCase();
}
