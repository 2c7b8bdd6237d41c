"""Style sheet and script of the ranked-list page: plain text, so that the page needs nothing from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --card: #f6f7f9; --line: #d3d7de; --ink: #1b1f24; --soft: #57606a;
  --right: #1a7f37; --wrong: #c01f2e; --unranked: #656d76; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1216; --card: #181c22; --line: #3a414b; --ink: #e8ebef;
  --soft: #a3acb8; --right: #4cc76b; --wrong: #ff7b84; --unranked: #98a1ad; --link: #7db7ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 108rem; padding: 1rem 1.25rem 3rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", sans-serif; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--ground); padding: .3rem .6rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .3rem 0 .9rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0; grid-column: 1 / -1; }
h3 { font-size: .9rem; margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; color: var(--soft); font-size: .85rem; padding-bottom: .2rem; }
th, td { padding: .25rem .75rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; padding-left: 0; }
thead th { font-weight: 600; color: var(--soft); }
tbody th { font-weight: 600; }
.note { margin: .35rem 0 0; color: var(--soft); font-size: .87rem; }
details { margin-top: .6rem; }
summary { cursor: pointer; color: var(--link); width: fit-content; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.5rem; padding: 0; margin: 1rem 0 .4rem;
  font-size: .9rem; }
.legend .right b, .right .mark { color: var(--right); }
.legend .wrong b, .wrong .mark { color: var(--wrong); }
.legend .unranked b, .unranked .mark { color: var(--unranked); }
.controls { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; align-items: center;
  gap: .4rem 1.5rem; margin: .6rem 0 1rem; padding: .5rem 0; background: var(--ground);
  border-bottom: 1px solid var(--line); font-size: .92rem; }
.controls fieldset, .controls .scripted:not([hidden]) { display: flex; flex-wrap: wrap; align-items: center;
  gap: .3rem 1.1rem; border: 0; padding: 0; margin: 0; }
.controls legend { float: left; font-weight: 600; padding: 0; }
.controls label { display: inline-flex; align-items: center; gap: .35rem; }
select, input:not([type=radio]) { font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--unranked); border-radius: .3rem; padding: .1rem .35rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.query { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .4rem 1.3rem; margin: 0 0 .9rem;
  padding: .7rem .9rem .8rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  content-visibility: auto; contain-intrinsic-size: auto 16rem; scroll-margin-top: 4rem; }
.badge { font-size: .78rem; font-weight: 600; border: 1px solid currentColor; border-radius: 1rem;
  padding: .02rem .55rem; margin-left: .4rem; }
.fixed .badge { color: var(--right); }
.broken .badge { color: var(--wrong); }
.asked { margin: 0; font-size: .78rem; color: var(--soft); }
.asked img { display: block; height: 160px; width: auto; max-width: 110px; border-radius: 2px;
  border: 3px solid var(--link); }
.lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 37.5rem), 1fr)); gap: .6rem 1.6rem;
  min-width: 0; }
.facts { margin: 0 0 .35rem; color: var(--soft); font-size: .85rem; font-variant-numeric: tabular-nums; }
ol { list-style: none; display: flex; flex-wrap: wrap; align-items: flex-end; gap: .4rem; margin: 0; padding: 0; }
li > img { display: block; height: 108px; width: 58px; object-fit: cover; border: 3px solid; border-radius: 2px; }
ol li { font-size: .74rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.right > img { border-color: var(--right); }
.wrong > img { border-color: var(--wrong); border-style: dashed; }
.past > img { border-width: 1px; opacity: .5; }
ol > li.unranked > img { height: 72px; width: 39px; border: 2px dotted var(--unranked); opacity: .6; }
.mark { display: block; font-weight: 700; margin-top: .1rem; }
.who { display: block; color: var(--soft); }
.hardest { margin-left: .5rem; padding-left: .7rem; border-left: 1px solid var(--line); }
.hardest .who::after { content: " last"; }
.two li > img { height: 93px; width: 50px; }
.two ol { gap: .25rem; }
.two .hardest { margin-left: .3rem; padding-left: .4rem; }
body:has(#show-missed:checked) .query:not(.missed), body:has(#show-fixed:checked) .query:not(.fixed),
body:has(#show-broken:checked) .query:not(.broken), .query.elsewhere { display: none; }
@media (max-width: 40rem) { .query { grid-template-columns: 1fr; } .asked img { height: 108px; }
  .controls { position: static; } }
@media print { .controls, .skip { display: none; } .query { break-inside: avoid; content-visibility: visible; } }
"""

SCRIPT = """
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
"""
