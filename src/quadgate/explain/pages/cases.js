"use strict";
// One of the drawn cases is shown at a time; the others wait.
const chooser = document.getElementById("case");
function show() {
  document.querySelectorAll("section[data-case]").forEach((section) => {
    section.classList.toggle("hidden", section.dataset.case !== chooser.value);
  });
}
chooser.addEventListener("change", show);
show();
