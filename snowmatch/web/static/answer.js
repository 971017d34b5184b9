// The answer: with or without lines, and from candidate to candidate by keys.
"use strict";
(function () {
  const buttons = [...document.querySelectorAll("[data-kind]")];
  const pairs = [...document.querySelectorAll("img[data-base]")];
  const cards = [...document.querySelectorAll(".candidate")];
  let kind = "matches", place = -1;

  function show(next) {
    kind = next;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
    snowmatch.tell(buttons.find((button) => button.dataset.kind === kind).textContent);
    for (const pair of pairs) pair.src = pair.dataset.base + kind;
  }

  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.kind));

  for (const pair of pairs) snowmatch.explain(pair);
  document.addEventListener("keydown", (event) => {
    if (snowmatch.typing(event) || document.querySelector("dialog[open]")) return;
    const key = snowmatch.key(event);
    if (key === "l" && buttons.length) show(kind === "plain" ? "matches" : "plain");
    else if (key === "j" || key === "k") {
      place = Math.min(Math.max(place + (key === "j" ? 1 : -1), 0), cards.length - 1);
      if (cards[place]) { cards[place].scrollIntoView({ block: "start" }); cards[place].focus({ preventScroll: true }); }
    } else if (key === "a") { document.getElementById("add").scrollIntoView(); (document.querySelector("#add input:checked") || document.querySelector("#add input")).focus(); }
    else return;
    event.preventDefault();
  });
  const name = document.querySelector("#add input[name=name]");
  const isNew = document.querySelector("#add input[value=new]");
  if (name && isNew) name.addEventListener("input", () => { if (name.value) isNew.checked = true; });
})();
