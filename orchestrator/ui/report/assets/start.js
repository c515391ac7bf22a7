function start() {
  const report = readReport();
  const parts = [];

  function choose(name, step = "") {
    const image = report.imageByName.get(name);
    if (image) {
      showDetail(report, image, { step, choose, close });
      parts.forEach((part) => part.mark(name));
      document.body.classList.add("has-detail");
    }
  }

  function close() {
    byId("detail").hidden = true;
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
