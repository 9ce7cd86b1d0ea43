"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const filter = document.getElementById("filter");
  const onlyFailed = document.getElementById("only-failed");
  const openAll = document.getElementById("open-all");

  const isPressed = (button) => button.getAttribute("aria-pressed") === "true";
  const onToggle = (button, act) => button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!isPressed(button)));
    act();
  });

  const apply = () => {
    const words = filter.value.trim().toLowerCase();
    for (const element of all("[data-scenario]")) {
      const fits = element.dataset.scenario.toLowerCase().includes(words);
      const counts = !isPressed(onlyFailed) || element.classList.contains("failed");
      element.hidden = !(fits && counts);
    }
  };
  filter.addEventListener("input", apply);
  onToggle(onlyFailed, apply);
  onToggle(openAll, () => {
    for (const scenario of all("details.scenario")) scenario.open = isPressed(openAll);
    openAll.textContent = isPressed(openAll) ? "Close all" : "Open all";
  });
  document.querySelector(".tools").hidden = false;

  // a link to a scenario opens it
  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", openTarget);
  for (const link of all('a[href^="#"]')) link.addEventListener("click", () => setTimeout(openTarget));
  openTarget();

  if (navigator.clipboard) {
    for (const button of all("button.copy")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.previousElementSibling.textContent);
        button.textContent = "Copied";
      });
    }
  }
})();
