// Tells browsers that are too old for the page so, in words that they understand; README.md names the versions.
(function () {
  var hasSignals = typeof AbortSignal === "function" && typeof AbortSignal.any === "function";
  var hasColours = typeof CSS === "object" && CSS.supports("color", "light-dark(#000, #fff)");
  if (hasSignals && hasColours) return;
  var place = document.querySelector("camera-console");
  var told = document.createElement("p");
  told.setAttribute("role", "alert");
  told.textContent =
    "This browser is too old for this page. It needs Chrome or Edge 123, Firefox 124, Safari 17.5 (iOS 17.5), or a later version of them.";
  place.parentNode.replaceChild(told, place);
})();
