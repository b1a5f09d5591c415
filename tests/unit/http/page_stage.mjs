// Runs the status page's script without a browser: `node page_stage.mjs <page>`, calls as JSON on stdin, what is shown on
// stdout. An element is shown as its text; a tone (good, bad, wait) stands before it in brackets.
import fs from "node:fs";

const page = fs.readFileSync(process.argv[2], "utf8").match(/<script>([\s\S]*?)<\/script>/)[1];
const script = page.replace(/^look\(\);$/m, "").replace(/^attempt\(find\("runs"\), dags\);$/m, "");

class FakeElement {
  constructor() { this.children = []; this.text = ""; this.className = ""; }
  set textContent(text) { this.text = text; this.children = []; }
  append(...children) { this.children.push(...children); }
  replaceChildren(...children) { this.text = ""; this.children = children; }
  setAttribute(name, value) { if (name === "class") this.className = value; }
  addEventListener() {}
  shown() {
    const inner = this.children.map((child) => (child.shown ? child.shown() : child));
    return (this.className ? `[${this.className}]` : "") + [this.text, ...inner].filter(Boolean).join(" ");
  }
}

const elements = {};
globalThis.HTMLTimeElement = class {};
globalThis.sessionStorage = { getItem: () => null };
globalThis.document = { baseURI: "http://127.0.0.1/", createElement: () => new FakeElement(),
  getElementById: (id) => (elements[id] ??= new FakeElement()) };

const calls = JSON.parse(fs.readFileSync(0, "utf8"));
const { health, fate } = new Function(`${script}; return { health, fate };`)();
const results = [];
for (const { status, body } of calls.health) {
  globalThis.fetch = async () => ({ ok: status < 400, status, statusText: "", json: async () => body });
  await health();
  const problem = elements["health-problem"];
  results.push({ gauges: elements.gauges.children.map((gauge) => gauge.shown()),
    problem: problem.hidden ? null : problem.text });
}
console.log(JSON.stringify({ health: results,
  fates: calls.reports.map((report) => fate(report).map((part) => part.shown()).join("; ")) }));
