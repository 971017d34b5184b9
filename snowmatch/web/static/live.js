// Keeps the figures of a page new while it is open and seen. Without it, they are those of when the page was loaded.
"use strict";
(function () {
  if (!window.EventSource) return;
  const list = document.querySelector("[data-live=sightings]");
  const work = document.querySelector("[data-jobs]"); // on the page of work: the work that it shows
  let source = null, timer = 0, jobs = null, waiting = null, check = 0;

  function show(sighting) {
    const rows = list.querySelector("ol");
    for (const row of rows.children) if (row.dataset.id === sighting.id) return;
    const row = document.createElement("li");
    row.dataset.id = sighting.id;
    if (sighting.word) {
      const level = document.createElement("span"), mark = document.createElement("span");
      level.className = "level " + sighting.level;
      mark.className = "mark";
      mark.setAttribute("aria-hidden", "true");
      level.append(mark, sighting.word);
      row.append(level, " ");
    }
    row.append(sighting.text);
    rows.prepend(row);
    while (rows.children.length > 10) rows.lastElementChild.remove();
    list.hidden = false;
  }
  async function renew(part, address) {
    if (!part || part.hasAttribute("aria-busy") || part.contains(document.activeElement)) return;
    try {
      const answer = await fetch(address);
      if (answer.status !== 200 || part.contains(document.activeElement)) return;
      const text = await answer.text();
      if (text !== part.dataset.shown) { part.innerHTML = text; part.dataset.shown = text; }
    } catch { /* the server is away; the next message tries again */ }
  }
  function renewAll() {
    for (const part of document.querySelectorAll("[data-load]")) renew(part, part.dataset.load);
    for (const part of document.querySelectorAll("[data-poll]")) renew(part, part.dataset.poll);
  }
  function onJobs(now) {
    const states = Object.entries(now).map(([id, job]) => id + job.state).join();
    const changed = jobs !== null && states !== jobs;
    const first = jobs === null;
    jobs = states;
    clearTimeout(check);
    // The first message may be up to a second older than the page: then the next one agrees with the page
    if (work && states !== work.dataset.jobs) check = setTimeout(reload, first ? 1500 : 0);
    else if (changed) renewAll();
  }
  function reload() {
    const field = document.activeElement;
    if (!(field && /^(INPUT|SELECT|TEXTAREA)$/.test(field.tagName))) location.reload();
  }
  function onWaiting(now) {
    const text = JSON.stringify(now), changed = waiting !== null && text !== waiting;
    waiting = text;
    document.dispatchEvent(new CustomEvent("live-waiting", { detail: now }));
    if (changed) renewAll();
  }
  function open() {
    clearTimeout(timer);
    if (source || document.hidden) return;
    source = new EventSource("/events");
    source.addEventListener("sighting", (message) => { if (list) show(JSON.parse(message.data)); });
    source.addEventListener("jobs", (message) => onJobs(JSON.parse(message.data)));
    source.addEventListener("waiting", (message) => onWaiting(JSON.parse(message.data)));
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) { close(); timer = setTimeout(open, 60000); } // refused
    });
  }
  function close() {
    if (source) source.close();
    source = null;
  }
  async function recent() {
    if (!list || document.hidden) return;
    try { for (const each of (await snowmatch.get("/events/recent")).sightings.reverse()) show(each); } catch { /* later */ }
  }
  // A browser keeps few connections to one server: a page that nobody sees holds none
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else { recent(); open(); } });
  window.addEventListener("pagehide", close);
  recent();
  open();
})();
