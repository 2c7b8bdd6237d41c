(function () {
  var main = document.getElementById("queries"), order = document.getElementById("order");
  var person = document.getElementById("person"), count = document.getElementById("count");
  var all = Array.from(main.children);
  function tell() {
    var shown = all.filter(function (q) { return getComputedStyle(q).display !== "none"; }).length;
    count.textContent = shown + (shown === 1 ? " query shown" : " queries shown");
  }
  order.addEventListener("change", function () {
    all.sort(function (a, b) {
      return a.dataset[order.value] - b.dataset[order.value] || a.dataset.at - b.dataset.at;
    });
    main.append.apply(main, all);
  });
  person.addEventListener("input", function () {
    var wanted = person.value.trim().replace(/^0+(?=.)/, "");
    all.forEach(function (q) { q.classList.toggle("elsewhere", wanted !== "" && q.dataset.person !== wanted); });
    tell();
  });
  document.querySelector(".controls").addEventListener("change", tell);
  document.querySelector(".controls").addEventListener("submit", function (e) { e.preventDefault(); });
  document.querySelector(".scripted").hidden = false;
  tell();
})();
