// Prints what Redocly finds in openapi.json; ends with 1 if it finds anything.
import { lint, loadConfig } from "@redocly/openapi-core";

const config = await loadConfig({ configPath: "tools/redocly.yaml" });
const problems = await lint({ ref: "openapi.json", config });
for (const { ruleId, message, location } of problems) {
  console.log(`${location[0].pointer}: ${message} (${ruleId})`);
}
process.exit(problems.length ? 1 : 0);
