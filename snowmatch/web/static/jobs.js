// Shows how far running work is; loads the page again when it ends, and then tells how.
"use strict";
(function () {
  const rate = new Intl.NumberFormat(document.documentElement.lang, { maximumSignificantDigits: 3 });
  const ran = JSON.parse(sessionStorage.getItem("snowmatch-running") || "[]"); // when a page of work was last loaded
  const running = [...document.querySelectorAll("[data-job]")].map((card) => card.dataset.job);
  sessionStorage.setItem("snowmatch-running", JSON.stringify(running));
  for (const card of document.querySelectorAll("[data-id]:not([data-job])"))
    if (ran.includes(card.dataset.id)) snowmatch.say(card.querySelector("h2").innerText);
  for (const card of document.querySelectorAll("[data-job]")) {
    const bar = card.querySelector("progress");
    const words = card.querySelector("[data-progress]");
    const timer = setInterval(async () => {
      let job;
      try { job = await snowmatch.get(`/jobs/${card.dataset.job}/progress`); } catch (error) { words.textContent = error.message; return; }
      if (job.state !== "running") { clearInterval(timer); location.reload(); return; }
      if (job.total) { bar.max = job.total; bar.value = job.done; }
      const parts = [job.title, job.total ? `${job.done} / ${job.total}` : ""];
      if (job.total && job.done >= job.total) parts.push(card.dataset.finishing);
      else if (job.rate) parts.push(card.dataset.rate.replace("{rate}", rate.format(job.rate)));
      if (job.left !== null && job.done < job.total) parts.push(card.dataset.left.replace("{left}", snowmatch.duration(job.left)));
      words.textContent = parts.filter(Boolean).join(" · ");
    }, 1000);
  }
})();
