"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (name, className, text) => {
    const node = document.createElement(name);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const values = (box) =>
    new Set([...box.querySelectorAll("input:checked")].map((input) => input.value));

  // Which standards and standings are seen, and printed.
  const standards = $("choose-standards"), standings = $("choose-standings");
  const choose = () => {
    const wanted = values(standards), alive = values(standings);
    for (const one of document.querySelectorAll(".standard")) {
      one.hidden = !wanted.has(one.dataset.standard);
      for (const row of one.querySelectorAll("tbody tr, .not_examined"))
        row.hidden = !alive.has(row.className);
    }
  };
  for (const box of [standards, standings]) {
    if (!box) continue;
    box.hidden = false;
    box.addEventListener("change", choose);
  }

  // Which checks are seen.
  const filter = $("filter"), matrix = $("matrix"), shown = $("shown");
  const rows = [...matrix.querySelectorAll("tbody tr[id]")];
  const seek = () => {
    const words = values(filter), group = filter.elements.group.value;
    const text = filter.elements.text.value.trim().toLowerCase();
    let found = 0;
    for (const row of rows) {
      const fits =
        [...row.cells].some((cell) => cell.tagName === "TD" && words.has(cell.className)) &&
        (!group || row.parentNode.dataset.group === group) &&
        (!text || row.cells[0].textContent.toLowerCase().includes(text));
      row.hidden = !fits;
      if (!fits) close(row);
      found += fits;
    }
    for (const body of matrix.tBodies) body.hidden = !body.querySelector("tr[id]:not([hidden])");
    shown.textContent = `${found} of ${rows.length} checks`;
  };
  filter.hidden = false;
  filter.addEventListener("input", seek);
  filter.addEventListener("submit", (event) => event.preventDefault());

  // What a check sent and got: compressed in this page, inflated when it is first asked for.
  let courses;
  const inflate = async () => {
    const packed = Uint8Array.from(atob($("courses").textContent), (char) => char.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  };
  const step = ([kind, after, text, got, headers, took, board, more]) => {
    const item = make("li", kind), body = make("div");
    item.append(make("span", "at", after), body);
    body.append(make("code", "", text));
    if (got) body.append(make("code", "got", got));
    for (const line of headers || []) body.append(make("code", "header", line));
    const told = [took && `took ${took}`, board && `board's clock ${board}`].filter(Boolean);
    if (told.length) body.append(make("small", "", told.join("; ")));
    if (more) body.append(make("small", "more", `and ${more} more like this one`));
    return item;
  };
  const course = ([target, word, told, steps, leftOut], place) => {
    const box = make("details"), summary = make("summary");
    box.open = place === 0;
    summary.append(make("b", "", target), " ", make("span", `tag ${word}`, told.word));
    if (told.took) summary.append(` in ${told.took}`);
    box.append(summary);
    if (told.message) box.append(make("pre", "", told.message));
    if (told.clock) box.append(make("p", "clocks", `Clock: ${told.clock}.`));
    const list = make("ol", "steps");
    list.append(...steps.map(step));
    if (steps.length) box.append(list);
    else box.append(make("p", "note", "It sent nothing, and did nothing to the board."));
    if (leftOut)
      box.append(make("p", "note", `${leftOut} more steps are in ${target}/evidence.jsonl.`));
    return box;
  };
  const open = async (row) => {
    const button = row.querySelector("button"), check = button.textContent;
    const panel = make("tr", "panel"), cell = make("td"), box = make("div");
    panel.id = button.getAttribute("aria-controls");
    cell.colSpan = row.cells.length;
    cell.append(box);
    panel.append(cell);
    row.after(panel);
    button.setAttribute("aria-expanded", "true");
    try {
      courses ||= inflate();
      const { checks, sources } = await courses;
      if (sources[check]) box.append(make("p", "note", `Source: ${sources[check]}`));
      if (checks[check]) box.append(...checks[check].map(course));
      else box.append(make("p", "note", "It has no verdict on any target."));
    } catch (error) {
      box.append(make("p", "note", `This browser cannot show it (${error}): see evidence.jsonl.`));
    }
  };
  const close = (row) => {
    const button = row.querySelector("button");
    if (!button || button.getAttribute("aria-expanded") !== "true") return;
    button.setAttribute("aria-expanded", "false");
    row.nextElementSibling.remove();
  };
  for (const row of rows) {
    const id = row.querySelector(".id"), button = make("button", "id", id.textContent);
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", `panel-${row.id}`);
    button.addEventListener("click", () =>
      button.getAttribute("aria-expanded") === "true" ? close(row) : open(row));
    id.replaceWith(button);
  }
  $("how-to-open").textContent = "Its id opens what it sent and got.";

  // A link into what is folded away or filtered out brings it to light.
  const reveal = () => {
    const target = $(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement)
      if (node.tagName === "DETAILS") node.open = true;
    if (!rows.includes(target)) return;
    if (target.hidden) {
      filter.reset();
      seek();
    }
    const button = target.querySelector("button");
    if (button.getAttribute("aria-expanded") !== "true") open(target);
    target.scrollIntoView({ block: "center" });
    button.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  reveal();
  seek();
})();
