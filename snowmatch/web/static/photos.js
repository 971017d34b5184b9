// The catalog explorer: filters apply at once, photos are chosen and corrected, pages and photos by keys.
"use strict";
(function () {
  const filters = document.querySelector("[data-filters]");
  // A choice with the mouse applies at once; arrow keys walk through all choices, so there the button applies them
  if (filters) for (const field of filters.querySelectorAll("select")) {
    let keys = false;
    field.addEventListener("keydown", (event) => { keys = event.key !== "Tab"; });
    field.addEventListener("pointerdown", () => { keys = false; });
    field.addEventListener("change", () => { if (!keys) filters.requestSubmit(); });
  }
  if (filters) filters.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name); // a short address
  });
  const button = document.getElementById("outline"), photo = document.getElementById("photo");
  function toggle() {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    photo.src = on ? photo.dataset.outline : photo.dataset.plain;
  }
  if (button) button.addEventListener("click", toggle);
  // The value that fits what is corrected
  const kinds = document.querySelector("[data-kinds]");
  function fit() {
    for (const label of document.querySelectorAll("[data-of]")) {
      label.hidden = label.dataset.of !== kinds.value;
      label.querySelector("[name=value]").disabled = label.hidden;
    }
  }
  if (kinds) { kinds.addEventListener("change", fit); fit(); }

  // Photos are chosen one by one, in a row with Shift, or all
  const boxes = [...document.querySelectorAll(".pick [data-photo]")];
  let last = -1;
  function choose(list, on) {
    for (const box of list) box.checked = on;
    if (list.length) list[0].dispatchEvent(new Event("change", { bubbles: true }));
  }
  boxes.forEach((box, number) => box.addEventListener("click", (event) => {
    if (event.shiftKey && last >= 0) choose(boxes.slice(Math.min(last, number), Math.max(last, number) + 1), box.checked);
    last = number;
  }));
  function chooseHere() {
    const tile = document.activeElement.closest(".tile");
    const box = tile && tile.querySelector("[data-photo]");
    if (box) { choose([box], !box.checked); last = boxes.indexOf(box); }
  }

  document.addEventListener("keydown", (event) => {
    if (snowmatch.typing(event) || document.querySelector("dialog[open]")) return;
    const key = snowmatch.key(event), go = { n: "next", p: "prev" }[key];
    const link = go && document.querySelector(`a[rel=${go}]`);
    if (link) location.href = link.href;
    else if (key === "/" && filters) filters.elements.q.focus();
    else if (key === "b" && button) toggle();
    else if (key === "x" && boxes.length) chooseHere();
    else if (key === "a" && boxes.length) choose(boxes, !boxes.every((box) => box.checked));
    else return;
    event.preventDefault();
  });
})();
