// The catalog explorer: filters apply at once, pages and photos by keys.
"use strict";
(function () {
  const filters = document.querySelector("[data-filters]");
  if (filters) for (const field of filters.querySelectorAll("select")) field.addEventListener("change", () => filters.requestSubmit());
  if (filters) filters.addEventListener("submit", () => {
    for (const field of filters.elements) if (field.name && !field.value) field.disabled = true; // a short address
  });
  const button = document.getElementById("outline"), photo = document.getElementById("photo");
  function toggle() {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    photo.src = on ? photo.dataset.outline : photo.dataset.plain;
  }
  if (button) button.addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (snowmatch.typing(event) || document.querySelector("dialog[open]")) return;
    const go = { n: "next", p: "prev" }[event.key];
    const link = go && document.querySelector(`a[rel=${go}]`);
    if (link) location.href = link.href;
    else if (event.key === "/" && filters) filters.elements.q.focus();
    else if (event.key === "b" && button) toggle();
    else return;
    event.preventDefault();
  });
})();
