// Keeps the figures new while the page is seen: every minute they are fetched again. Open tables stay open.
"use strict";
(function () {
  const MINUTE = 60000;
  const figures = document.getElementById("figures");
  const open = new Set();
  const before = new Map();

  figures.addEventListener("toggle", (event) => {
    const name = event.target.dataset.keep;
    if (name && event.target.isConnected) open[event.target.open ? "add" : "delete"](name);
  }, true);
  // Whoever renews the figures, this page or another script: what was open is opened again
  new MutationObserver(() => {
    for (const part of figures.querySelectorAll("details[data-keep]")) if (open.has(part.dataset.keep)) part.open = true;
  }).observe(figures, { childList: true });

  async function renew(part, address) {
    if (!part || part.hasAttribute("aria-busy") || part.contains(document.activeElement)) return;
    try {
      const answer = await snowmatch.reach(address), text = await answer.text();
      if (!answer.ok) throw snowmatch.refusal(text);
      if (answer.status !== 200 || part.contains(document.activeElement)) return;
      if (text !== before.get(part)) { part.innerHTML = text; before.set(part, text); }
    } catch (error) { snowmatch.say(error.message, error.link); } // the next minute tries again
  }
  function renewAll() {
    if (document.hidden) return;
    last = Date.now();
    renew(figures, figures.dataset.load);
    const waits = document.querySelector("[data-poll]");
    if (waits) renew(waits, waits.dataset.poll);
  }
  let last = Date.now();
  setInterval(renewAll, MINUTE);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && Date.now() - last > MINUTE) renewAll(); });
  document.addEventListener("snowmatch-renew", renewAll);
})();
