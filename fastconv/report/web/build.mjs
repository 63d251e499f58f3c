// Builds the page from src/: one file with style, script and the licences of what is bundled. Python fills in title and document.
//
//   npm ci && npm run build            writes ../page.html
//   npm run build -- FILE              writes FILE

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

process.chdir(fileURLToPath(new URL(".", import.meta.url)));
const target = process.argv[2] ?? "../page.html";

const result = await build({
  entryPoints: ["src/main.tsx", "src/style.css"],
  bundle: true,
  minify: true,
  charset: "utf8",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  metafile: true,
  outdir: "built",
  write: false,
});
const [script, style] = [".js", ".css"].map((end) => result.outputFiles.find((f) => f.path.endsWith(end)).text.trim());

/** As in a Content-Security-Policy. */
function hash(text, encoding = "base64") {
  return createHash("sha256").update(text).digest(encoding);
}

/** Of all files that the page depends on; tests/report/test_built.py computes it too. */
function sourcesHash() {
  const files = ["build.mjs", "package-lock.json", "package.json", ...readdirSync("src").map((name) => `src/${name}`)].sort();
  return hash(files.map((file) => `${file}\n${readFileSync(file, "utf8")}`).join(""), "hex");
}

/** The licence of each bundled package, each text once. */
function licences() {
  const packages = Object.keys(result.metafile.inputs).flatMap((file) => file.match(/^node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? []);
  const texts = new Map();
  for (const folder of [...new Set(packages)].sort()) {
    const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = ["LICENSE", "LICENSE.md", "LICENSE.txt"].map((f) => join(folder, f)).find(existsSync);
    if (!file) throw new Error(`${name}: no licence in ${folder}`);
    const text = readFileSync(file, "utf8").trim().replaceAll("--", "- -");
    texts.set(text, [...(texts.get(text) ?? []), `${name} ${version}`]);
  }
  return [...texts].map(([text, names]) => `${names.join(", ")}\n\n${text}`).join("\n\n\n");
}

const parts = {
  "script hash": hash(script),
  "style hash": hash(style),
  "sources hash": sourcesHash(),
  style,
  licences: licences(),
  script,
};
const page = readFileSync("src/page.html", "utf8").replace(/\{([a-z ]+)\}/g, (whole, name) => parts[name] ?? whole);
if (/<\/(script|style)/i.test(script + style)) throw new Error("the script or style would end its element");
writeFileSync(target, page);
console.log(`${target}: ${page.length} characters, script ${script.length}`);
