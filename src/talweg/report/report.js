(() => {
  "use strict";
  const { figures, name, quiet } = JSON.parse(document.getElementById("payload").textContent);
  const root = document.documentElement;
  const touch = matchMedia("(pointer: coarse)").matches;
  const hidden = new Set(quiet); // at first
  const views = new Map(figures.map((figure) => [figure.key, Object.keys(figure.views)[0]]));

  // Colours: the page's CSS variables, in whatever theme is on.

  const probe = document.body.appendChild(document.createElement("span"));
  probe.hidden = true;
  const colour = (token) => {
    const [variable, alpha] = token.split(" ");
    probe.style.color = `var(${variable})`;
    const rgb = getComputedStyle(probe).color;
    return alpha ? rgb.replace("rgb(", "rgba(").replace(")", `, ${alpha})`) : rgb;
  };
  const paint = (value, key = "") => {
    if (Array.isArray(value)) return value.map((inner) => paint(inner, key));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([k, inner]) => [k, paint(inner, k)]));
    const named = typeof value === "string" && value.startsWith("--") && /color(scale)?$/.test(key);
    return named ? colour(value) : value;
  };

  // Drawing.

  const assign = (layout, path, value) => {
    const keys = path.split(".");
    const last = keys.pop();
    keys.reduce((inner, key) => (inner[key] ??= {}), layout)[last] = structuredClone(value);
  };
  const build = (figure, panel) => {
    const data = paint(panel.data);
    const layout = paint(panel.layout);
    for (const trace of data) trace.visible = !hidden.has(trace.legendgroup);
    const patch = figure.views[views.get(figure.key)] ?? {};
    for (const [path, value] of Object.entries(patch)) assign(layout, path, value);
    layout.font.family = layout.hoverlabel.font.family = getComputedStyle(document.body).fontFamily;
    layout.dragmode = touch ? false : "zoom";
    return { data, layout };
  };
  const config = { displayModeBar: false, responsive: true, scrollZoom: false };
  const PAPER_WIDTH = 700; // of a printed page, in CSS pixels
  let printing = false;
  const draw = (only) => {
    for (const figure of figures)
      if (!only || only === figure.key)
        figure.panels.forEach((panel, place) => {
          const { data, layout } = build(figure, panel);
          if (printing) layout.width = PAPER_WIDTH / figure.panels.length - 12;
          Plotly.react(`${figure.key}-${place}`, data, layout, config);
        });
  };

  // Contenders: hide, show alone, point out.

  const chips = [...document.querySelectorAll(".chip")];
  const contenders = [...new Set(chips.map((chip) => chip.dataset.contender))];
  const mark = () => {
    for (const chip of chips) chip.setAttribute("aria-pressed", !hidden.has(chip.dataset.contender));
  };
  const press = () => {
    mark();
    draw();
  };
  mark();
  const pointOut = (contender) => {
    root.classList.toggle("pointing", Boolean(contender));
    for (const figure of figures)
      figure.panels.forEach((panel, place) => {
        const canvas = document.getElementById(`${figure.key}-${place}`);
        for (const trace of panel.data)
          for (const drawn of canvas.querySelectorAll(`.trace${CSS.escape(trace.uid)}`))
            drawn.style.opacity = !contender || trace.legendgroup === contender ? "" : "0.12";
      });
  };
  let alone = null;
  for (const chip of chips) {
    const contender = chip.dataset.contender;
    chip.addEventListener("click", () => {
      if (!hidden.delete(contender)) hidden.add(contender);
      press();
    });
    chip.addEventListener("dblclick", () => {
      const others = contenders.filter((other) => other !== contender);
      hidden.clear();
      if (alone !== contender) others.forEach((other) => hidden.add(other));
      alone = alone === contender ? null : contender;
      press();
    });
    chip.addEventListener("pointerenter", () => touch || pointOut(contender));
    chip.addEventListener("pointerleave", () => touch || pointOut(null));
  }

  // Views and pictures.

  for (const button of document.querySelectorAll("[data-view]"))
    button.addEventListener("click", () => {
      const key = button.closest("figure").dataset.figure;
      views.set(key, button.dataset.view);
      for (const other of button.parentElement.children)
        other.setAttribute("aria-pressed", other === button);
      draw(key);
    });
  const inTheme = (theme, task) => {
    const before = root.dataset.theme;
    root.dataset.theme = theme;
    const result = task();
    if (before) root.dataset.theme = before;
    else delete root.dataset.theme;
    return result;
  };
  const save = (figure) => {
    figure.panels.forEach((panel, place) => {
      const { data, layout } = inTheme("light", () => build(figure, panel));
      const box = document.getElementById(`${figure.key}-${place}`);
      Object.assign(layout, {
        paper_bgcolor: "white", showlegend: true, title: { text: panel.title, font: { size: 14 } },
        margin: { l: 60, r: 20, t: 50, b: 50 },
      });
      const filename = [name, figure.key, place + 1].join("-").replace(/[^\w-]+/g, "_");
      const width = Math.max(700, box.clientWidth);
      Plotly.downloadImage({ data, layout }, { format: "svg", filename, width, height: 460 });
    });
  };
  for (const button of document.querySelectorAll("[data-save]"))
    button.addEventListener("click", () =>
      save(figures.find((figure) => figure.key === button.dataset.save)));

  // Theme: the system's, or the one that was chosen here.

  const system = matchMedia("(prefers-color-scheme: dark)");
  const toggle = document.getElementById("theme");
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const nameToggle = () => {
    toggle.textContent = dark() ? "Light" : "Dark";
    toggle.setAttribute("aria-label", `Switch to the ${dark() ? "light" : "dark"} theme`);
  };
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("talweg-theme", root.dataset.theme); } catch { /* not kept */ }
    nameToggle();
    draw();
  });
  system.addEventListener("change", () => { nameToggle(); draw(); });
  let beforePrint;
  addEventListener("beforeprint", () => {
    beforePrint = root.dataset.theme;
    printing = true;
    root.dataset.theme = "light";
    draw();
  });
  addEventListener("afterprint", () => {
    printing = false;
    if (beforePrint) root.dataset.theme = beforePrint;
    else delete root.dataset.theme;
    draw();
  });

  root.classList.add("drawn");
  nameToggle();
  draw();
})();
