"use strict";

// Draws the charts from what the page holds, and lets the reader choose what they show.
(() => {
  const { charts, lines, shades } = JSON.parse(document.getElementById("drawn").textContent);

  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const chart = charts[figure.dataset.chart];
    const draw = { lines: drawLines, heat: drawHeat, part: showPart }[chart.kind](figure, chart);
    addChoosers(figure.querySelector(".choosers"), chart, draw);
  }

  // Paper has nothing to unfold.
  for (const [event, open] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(event, () => {
      for (const each of document.querySelectorAll("details")) {
        if (open) each.dataset.open = each.open;
        each.open = open || each.dataset.open === "true";
      }
    });
  }

  function make(name, properties = {}, parent = null) {
    const element = Object.assign(document.createElement(name), properties);
    if (parent) parent.append(element);
    return element;
  }

  // A select for each level of the tree; what is chosen above says what there is to choose below.
  function addChoosers(form, chart, draw) {
    const chosen = [...(chart.start || [])];
    const selects = chart.choices.map((label) => {
      const outside = make("label", { textContent: label }, form);
      return make("select", {}, outside);
    });

    function update() {
      let node = chart.tree;
      selects.forEach((select, level) => {
        const keys = Object.keys(node);
        if (!keys.includes(chosen[level])) chosen[level] = keys[keys.length - 1];
        select.replaceChildren(...keys.map((key) => new Option(key, key, false, key === chosen[level])));
        select.disabled = keys.length === 1;
        node = node[chosen[level]];
      });
      draw(node, chosen);
    }

    selects.forEach((select, level) => {
      select.addEventListener("change", () => {
        chosen[level] = select.value;
        update();
      });
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    update();
  }

  function showPart(figure) {
    const parts = figure.querySelectorAll("[data-part]");
    return (number) => parts.forEach((part) => { part.hidden = part.dataset.part !== String(number); });
  }

  // Heat maps: a table whose cells say their number and show it as a shade.
  function drawHeat(figure, chart) {
    const [table, note] = [figure.querySelector("table"), figure.querySelector(".note")];
    const [low, bar, high] = figure.querySelector(".scale").children;
    return (node, chosen) => {
      const [least, most] = node.limits;
      const signed = node.shades === "diverging";
      const colours = shades[node.shades];
      table.replaceChildren();
      make("caption", { textContent: `${chosen.join(", ")} (${signed ? "points" : "%"})` }, table);
      const head = make("tr", {}, make("thead", {}, table));
      make("td", { textContent: node.columns ? "" : "severity" }, head);
      for (const title of node.columns || chart.columns) {
        const column = make("th", { scope: "col", className: node.columns ? "upright" : "" }, head);
        make("span", { textContent: title }, column);
      }
      const body = make("tbody", {}, table);
      node.values.forEach((row, i) => {
        const line = make("tr", {}, body);
        make("th", { scope: "row", textContent: chart.rows[i] }, line);
        for (const value of row) {
          const cell = make("td", {}, line);
          if (value === null) continue;
          cell.textContent = percent(value, signed);
          const share = most > least ? (value - least) / (most - least) : 0.5;
          const colour = colours[Math.round(share * (colours.length - 1))];
          cell.style.background = colour;
          cell.style.color = luminance(colour) > 0.18 ? "#000000" : "#ffffff";
        }
      });
      [low.textContent, high.textContent] = [percent(least, signed), percent(most, signed)];
      bar.style.background = `linear-gradient(to right, ${colours.join(", ")})`;
      note.textContent = node.note;
    };
  }

  function percent(value, signed) {
    const text = (100 * Math.abs(value)).toFixed(1);
    if (!signed || Number(text) === 0) return text;
    return (value < 0 ? "−" : "+") + text;
  }

  function luminance(colour) {
    const [r, g, b] = [1, 3, 5].map((i) => (parseInt(colour.slice(i, i + 2), 16) / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  // Line charts, drawn anew for the width there is.
  function drawLines(figure, chart) {
    const svg = figure.querySelector(".plot svg");
    const legend = figure.querySelector(".legend");
    const there = new Set();
    (function collect(node) {
      if (Array.isArray(node)) node.forEach((each) => there.add(each.line));
      else Object.values(node).forEach(collect);
    })(chart.tree);
    const on = new Set([...there].filter((key) => lines[key].on));
    let [drawn, chosen] = [[], []];
    const redraw = () => plot(svg, drawn.filter((each) => on.has(each.line)), chart, chosen);
    for (const key of Object.keys(lines).filter((each) => there.has(each))) {
      const label = make("label", {}, legend);
      const box = make("input", { type: "checkbox", checked: on.has(key) }, label);
      const sample = svgElement(svg, "svg", { viewBox: "0 0 34 12", "aria-hidden": "true" }, label);
      svgElement(svg, "path", { d: "M1 6H33", ...stroke(key) }, sample);
      label.append(lines[key].label);
      box.addEventListener("change", () => {
        if (box.checked) on.add(key); else on.delete(key);
        redraw();
      });
    }
    let width = 0;
    new ResizeObserver(() => {
      if (svg.parentElement.clientWidth !== width) {
        width = svg.parentElement.clientWidth;
        redraw();
      }
    }).observe(svg.parentElement);
    return (node, choices) => {
      [drawn, chosen] = [node, choices];
      redraw();
    };
  }

  // The namespace of an element that stands in the page, so that no address stands in here.
  function svgElement(like, name, attributes, parent) {
    const element = document.createElementNS(like.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  }

  function stroke(key) {
    const { colour, dashes } = lines[key];
    return { stroke: colour, "stroke-dasharray": dashes, "stroke-width": 2, fill: "none" };
  }

  function plot(svg, drawn, chart, chosen) {
    const width = Math.max(svg.parentElement.clientWidth, 240);
    const height = Math.round(Math.min(Math.max(width * 0.5, 230), 400));
    const box = { left: 56, right: width - 12, top: 12, bottom: height - 44 };
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const shown = new Set(drawn.map((each) => lines[each.line].label));
    svg.setAttribute("aria-label", `${chart.y || chosen[0]} by ${chart.x}, ${chosen.join(", ")}: ${[...shown].join("; ")}`);
    const values = drawn.flatMap(({ y = [], se = [] }) =>
      y.flatMap((value, i) => [value - (se[i] || 0), value + (se[i] || 0)]));
    const x = scale(chart.x_range || extent(drawn.flatMap((each) => each.x || [])), [box.left, box.right]);
    const y = scale(pad(extent(values)), [box.bottom, box.top]);
    drawAxes(svg, box, x, y, chart, chosen);
    for (const each of drawn) {
      const group = svgElement(svg, "g", {}, svg);
      svgElement(svg, "title", {}, group).textContent = lines[each.line].label;
      if ("at" in each) {
        svgElement(svg, "path", { d: `M${x(each.at)} ${box.bottom}V${box.top}`, ...stroke(each.line), "stroke-width": 1.5 }, group);
        continue;
      }
      if (each.se) {
        const upper = each.x.map((value, i) => `${x(value)} ${y(each.y[i] + each.se[i])}`);
        const lower = each.x.map((value, i) => `${x(value)} ${y(each.y[i] - each.se[i])}`).reverse();
        svgElement(svg, "path", { d: `M${[...upper, ...lower].join("L")}Z`, fill: lines[each.line].colour, opacity: 0.2 }, group);
      }
      const points = each.x.map((value, i) => `${x(value)} ${y(each.y[i])}`);
      svgElement(svg, "path", { d: `M${points.join("L")}`, ...stroke(each.line), "stroke-linejoin": "round" }, group);
    }
    if (!drawn.length) {
      svgElement(svg, "text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, svg).textContent = "Nothing is chosen below.";
    }
  }

  function drawAxes(svg, box, x, y, chart, chosen) {
    const wide = box.right - box.left;
    for (const tick of ticks(x.domain, wide < 420 ? 5 : 10)) {
      svgElement(svg, "path", { d: `M${x(tick)} ${box.top}V${box.bottom}`, class: "grid" }, svg);
      svgElement(svg, "text", { x: x(tick), y: box.bottom + 18, "text-anchor": "middle" }, svg).textContent = plain(tick);
    }
    for (const tick of ticks(y.domain, 6)) {
      svgElement(svg, "path", { d: `M${box.left} ${y(tick)}H${box.right}`, class: "grid" }, svg);
      svgElement(svg, "text", { x: box.left - 8, y: y(tick) + 4, "text-anchor": "end" }, svg).textContent = plain(tick);
    }
    svgElement(svg, "path", { d: `M${box.left} ${box.top}V${box.bottom}H${box.right}`, class: "axis", fill: "none" }, svg);
    const middle = (box.top + box.bottom) / 2;
    svgElement(svg, "text", { x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle" }, svg).textContent = chart.x;
    svgElement(svg, "text", { transform: `translate(14 ${middle}) rotate(-90)`, "text-anchor": "middle" }, svg).textContent = chart.y || chosen[0];
  }

  function extent(values) {
    return values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  }

  function pad([low, high]) {
    const room = 0.04 * (high - low) || 0.5;
    return [low >= 0 && low < high / 3 ? 0 : low - room, high + room];
  }

  function scale(domain, range) {
    const slope = (range[1] - range[0]) / (domain[1] - domain[0] || 1);
    const place = (value) => Math.round(10 * (range[0] + (value - domain[0]) * slope)) / 10;
    return Object.assign(place, { domain });
  }

  // Round numbers within the domain, about `count` of them.
  function ticks([low, high], count) {
    const rough = (high - low || 1) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((each) => each * power >= rough);
    const first = Math.ceil(low / step - 1e-9);
    const found = [];
    for (let i = first; i * step <= high + 1e-9 * step; i += 1) found.push(i * step);
    return found;
  }

  function plain(tick) {
    return String(Number(tick.toPrecision(6))).replace("-", "−");
  }
})();
