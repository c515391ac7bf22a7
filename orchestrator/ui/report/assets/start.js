function start() {
  const report = readReport();
  const parts = [];
  let opener = null;

  function choose(name, step = "") {
    const image = report.imageByName.get(name);
    if (image) {
      const active = document.activeElement;
      if (!byId("detail").contains(active)) {
        opener = active === document.body ? null : active;
      }
      showDetail(report, image, { step, choose, close });
      parts.forEach((part) => part.mark(name));
      document.body.classList.add("has-detail");
    }
  }

  function close() {
    const isInside = byId("detail").contains(document.activeElement);
    byId("detail").hidden = true;
    if (isInside) {
      opener?.focus({ preventScroll: true });
    }
    document.body.classList.remove("has-detail");
    parts.forEach((part) => part.mark(""));
  }

  showHeader(report);
  showFailures(report, choose);
  showNotes(report);
  parts.push(new Graph(report, choose), new Table(report, choose));
  new Timeline(report, choose);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !byId("detail").hidden) {
      close();
    } else if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      byId("filter").focus();
    }
  });
}

start();
