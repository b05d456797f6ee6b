// An addition: without it the page shows the same. It filters and sorts what is there.

(() => {
  const form = document.getElementById("filter");
  if (form) {
    form.hidden = false;
    const models = [...document.querySelectorAll("details.model")].map((element) => ({
      element,
      name: element.dataset.name.toLowerCase(),
      body: element.querySelector("tbody"),
      lines: [...element.querySelector("tbody").children].map((line) => ({
        line,
        cell: line.firstElementChild.textContent.toLowerCase(),
        verdict: line.dataset.kind ?? line.dataset.verdict,
        badness: Number(line.dataset.badness),
      })),
    }));
    const parent = models[0].element.parentElement;
    const isCounted = (word) => word !== "the evaluator";
    const lines = models.flatMap((model) => model.lines);
    const total = lines.filter((entry) => isCounted(entry.verdict)).length;

    const filter = () => {
      const words = (name) => form.elements[name].value.toLowerCase().split(/\s+/).filter(Boolean);
      const hasAll = (text, parts) => parts.every((part) => text.includes(part));
      const cell = words("cell");
      const name = words("model");
      const verdict = form.elements.verdict.value;
      const isAsked = cell.length || name.length || verdict;
      let shown = 0;
      for (const model of models) {
        let count = 0;
        const isNamed = hasAll(model.name, name);
        for (const { line, cell: text, verdict: word } of model.lines) {
          const isRight =
            isNamed &&
            hasAll(text, cell) &&
            (!verdict ||
              (verdict === "!" ? word !== "match" && isCounted(word) : word === verdict));
          if (line.hidden === isRight) line.hidden = !isRight;
          if (isRight) count += 1;
          if (isRight && isCounted(word)) shown += 1;
        }
        if (model.element.hidden === count > 0) model.element.hidden = !count;
        if (count && isAsked) model.element.open = true;
      }
      form.querySelector("output").textContent = `${shown} of ${total} verdicts of consumers`;
    };

    const order = () => {
      const worst = form.elements.order.value === "worst";
      const largest = (model) => Math.max(...model.lines.map((entry) => entry.badness));
      const ordered = worst ? [...models].sort((a, b) => largest(b) - largest(a)) : models;
      for (const model of ordered) {
        const lines = worst ? [...model.lines].sort((a, b) => b.badness - a.badness) : model.lines;
        model.body.append(...lines.map((entry) => entry.line));
      }
      parent.append(...ordered.map((model) => model.element));
    };

    form.addEventListener("input", filter);
    form.elements.order.addEventListener("change", order);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () =>
      setTimeout(() => {
        order();
        filter();
      }),
    );
    filter();
  }

  // What a number with a unit counts, as in "806 MB", "609 ms" or "12.3 %".
  const units = {
    "": 1,
    "%": 1,
    ns: 1e-9,
    µs: 1e-6,
    ms: 1e-3,
    s: 1,
    min: 60,
    B: 1,
    kB: 1e3,
    MB: 1e6,
    GB: 1e9,
    MiB: 2 ** 20,
    GiB: 2 ** 30,
  };

  // The unit of "1.20 [1.18, 1.25] ms" stands after the interval.
  const numberOf = (text) => {
    const pattern = /^([+-]?[\d.,]+(?:e[+-]?\d+)?)\s*(?:\[[^\]]*\]\s*)?([^\s\d,;[]*)/i;
    const [, digits, unit] = pattern.exec(text) ?? [];
    const number = digits === undefined ? Number.NaN : Number(digits.replaceAll(",", ""));
    return unit in units ? number * units[unit] : number;
  };

  // Numbers by size, then texts, then what has none.
  const compare = (left, right, isDown) => {
    const sign = isDown ? -1 : 1;
    const rank = (text) => (text === "–" || text === "" ? 2 : Number.isNaN(numberOf(text)) ? 1 : 0);
    if (rank(left) !== rank(right)) return rank(left) - rank(right);
    return sign * (rank(left) === 0 ? numberOf(left) - numberOf(right) : left.localeCompare(right));
  };

  const sortKey = (line, index) => {
    const field = line.children[index];
    return field.dataset.value ?? field.textContent.trim();
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const [index, heading] of [...table.tHead.rows[0].cells].entries()) {
      if (heading.querySelector("svg") || !heading.textContent) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const isUp = heading.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", isUp ? "descending" : "ascending");
        const body = table.tBodies[0];
        const lines = [...body.rows].sort((a, b) =>
          compare(sortKey(a, index), sortKey(b, index), isUp),
        );
        body.append(...lines);
      });
    }
  }

  // Of a long table the first lines are shown, in whatever order it is.
  for (const table of document.querySelectorAll("table[data-first]")) {
    const more = table.tBodies[0].rows.length - Number(table.dataset.first);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "more";
    const fold = (isFolded) => {
      table.classList.toggle("folded", isFolded);
      button.textContent = isFolded ? `${more} more` : "fewer";
      button.setAttribute("aria-expanded", String(!isFolded));
    };
    button.addEventListener("click", () => fold(!table.classList.contains("folded")));
    table.parentElement.after(button);
    fold(true);
  }

  // A link may lead into what is folded.
  const unfold = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target?.closest("[hidden]")) form.reset(); // the filter hides it
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) setTimeout(() => target.scrollIntoView());
  };
  addEventListener("hashchange", unfold);
  if (location.hash) unfold();
})();
