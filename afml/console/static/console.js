// Keeps a page as the server has it: sections that have changed come as server-sent events and take their old place.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  const told = document.getElementById("live");
  if (!main || !told) return;

  const say = (text) => { if (told.textContent !== text) told.textContent = text; };

  // What somebody is reading or has opened stays: focus, opened details, and a selection until it is let go.
  const place = (old, fresh) => {
    old.querySelectorAll("details").forEach((one, index) => {
      const other = fresh.querySelectorAll("details")[index];
      if (other && one.open) other.open = true;
    });
    const can = "a[href], button, summary, [tabindex]";
    const held = [...old.querySelectorAll(can)].indexOf(document.activeElement);
    const scrolled = [...old.querySelectorAll(".wide")].map((one) => one.scrollLeft);
    old.replaceWith(fresh);
    fresh.querySelectorAll(".wide").forEach((one, index) => { one.scrollLeft = scrolled[index] || 0; });
    if (held >= 0) fresh.querySelectorAll(can)[held]?.focus({ preventScroll: true });
  };

  const waiting = new Map();
  const put = (found) => {
    const old = document.getElementById(found.name);
    if (!old || old.dataset.version === found.version) return;
    const chosen = document.getSelection();
    if (chosen && !chosen.isCollapsed && old.contains(chosen.anchorNode)) { waiting.set(found.name, found); return; }
    const fresh = new DOMParser().parseFromString(found.html, "text/html").getElementById(found.name);
    if (fresh) place(old, document.adoptNode(fresh));
  };
  document.addEventListener("selectionchange", () => {
    if (!document.getSelection().isCollapsed) return;
    const all = [...waiting.values()];
    waiting.clear();
    all.forEach(put);
  });

  say("Connecting: changes will appear by themselves.");
  const source = new EventSource("/live?page=" + encodeURIComponent(main.dataset.live));
  source.addEventListener("open", () => say("Live: changes appear by themselves."));
  source.addEventListener("section", (event) => put(JSON.parse(event.data)));
  source.addEventListener("over", () => {
    source.close();
    say("Not live: the session is over. Sign in again.");
  });
  source.addEventListener("error", () => {
    say(source.readyState === EventSource.CLOSED
      ? "Not live: load the page again, or sign in again."
      : "Not live: the console does not answer. Trying again.");
  });
})();
