"use strict";
// What is wider than its frame is marked, so that it shows that it goes on.
const mark = (pan) => {
  const cut = pan.scrollWidth > pan.clientWidth + 1;
  const end = pan.scrollLeft + pan.clientWidth >= pan.scrollWidth - 2;
  pan.parentElement.classList.toggle("cut", cut);
  pan.parentElement.classList.toggle("end", end);
  if (cut) pan.tabIndex = 0; // the arrow keys move it
  else pan.removeAttribute("tabindex");
};
const sizes = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target.closest(".pan"))));
const watch = (pan) => {
  sizes.observe(pan);
  if (pan.firstElementChild) sizes.observe(pan.firstElementChild);
  pan.addEventListener("scroll", () => mark(pan), { passive: true });
  mark(pan);
};
document.querySelectorAll(".pan").forEach(watch);

// On paper nothing is folded.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((fold) => { fold.open = true; });
});
addEventListener("afterprint", () => {
  folded.forEach((fold) => { fold.open = false; });
  folded = [];
});
