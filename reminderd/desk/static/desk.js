// Says in words when a part of a page is no longer kept up to date, and leaves when the session has ended.
"use strict";
(function () {
  var pause = 2000;
  var longest = 30000;

  function notice(part) {
    var found = document.getElementById("stale");
    if (!found) {
      found = document.createElement("p");
      found.id = "stale";
      found.className = "notice warning";
      found.setAttribute("role", "status");
      part.parentNode.insertBefore(found, part);
    }
    return found;
  }

  // Without an answer: say so, with the time of what is shown, and ask again, less and less often.
  function failed(event) {
    var part = event.target.closest ? event.target.closest("[data-updated]") : null;
    if (!part) { return; }
    notice(part).textContent = part.getAttribute("data-stale").replace("{time}", part.getAttribute("data-updated"));
    window.setTimeout(function () { window.htmx.trigger(part, "again"); }, pause);
    pause = Math.min(2 * pause, longest);
  }

  document.addEventListener("htmx:sendError", failed);
  document.addEventListener("htmx:responseError", failed);
  document.addEventListener("htmx:timeout", failed);
  // What somebody has unfolded stays so when the part around it is replaced.
  var unfolded = [];
  document.addEventListener("htmx:beforeSwap", function (event) {
    var part = event.target;
    unfolded = part.querySelectorAll ? Array.prototype.map.call(part.querySelectorAll("details[open][id]"), function (one) { return one.id; }) : [];
  });
  document.addEventListener("htmx:afterSwap", function () {
    unfolded.forEach(function (id) {
      var found = document.getElementById(id);
      if (found) { found.open = true; }
    });
    pause = 2000;
    var found = document.getElementById("stale");
    if (found) { found.remove(); }
  });
  document.addEventListener("click", function (event) {
    if (event.target.closest && event.target.closest("[data-print]")) { window.print(); }
  });
}());
